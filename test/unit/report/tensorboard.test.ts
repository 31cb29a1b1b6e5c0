import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { TensorBoardReporter } from "../../../lib/report/tensorboard.js";
import { encodeEvent, frameRecord, type TensorBoardEvent } from "../../../lib/report/tensorboard-events.js";
import { temporaryFolder } from "../../support/temporary.js";
import { crc32c, readEvents } from "../../support/tensorboard.js";

interface Golden {
  wall_time: number;
  scalars: [string, number | string][];
  text: string;
  records: Record<string, string>;
}

/** scripts/golden/make_tensorboard.py */
const golden = JSON.parse(
  readFileSync(new URL("../../golden/tensorboard.json", import.meta.url), "utf8"),
) as unknown as Golden;

const SECOND = 1_700_000_000;

function makeRun() {
  const outputDir = temporaryFolder();
  const clock = { seconds: SECOND };
  const reporter = (completionsEvery = 0) =>
    new TensorBoardReporter({ config: { seed: 3 }, completionsEvery, now: () => clock.seconds * 1000 });
  const start = (firstStep: number) => ({
    objective: "grpo" as const,
    outputDir,
    firstStep,
    totalSteps: 9,
    rows: 1,
    parameters: 1,
    trainableParameters: 1,
    maxTokensPerMicrobatch: 1,
  });
  const files = () =>
    readdirSync(outputDir)
      .sort()
      .map((name) => join(outputDir, name));
  return { outputDir, clock, reporter, start, files };
}

const step = (number: number, metrics: Record<string, number>, completions: string[] = []) => ({
  step: number,
  totalSteps: 9,
  epoch: number / 4,
  metrics,
  completions: completions.map((completion, index) => ({
    id: `row_${index}`,
    completion,
    solution: "soup",
    rewards: { content: 0.5, format: null },
    advantage: 0.25,
    tokens: 3,
    finishReason: "stop" as const,
  })),
});

describe("records have the bytes that TensorBoard's own writer gives them", () => {
  test("the checksum is CRC-32C (RFC 3720, B.4)", () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  });

  test.each<[string, number, TensorBoardEvent["what"]]>([
    ["version", 0, { kind: "version" }],
    ["start", 41, { kind: "start" }],
    ["scalars", 300, { kind: "scalars", values: golden.scalars.map(([tag, value]) => [tag, toNumber(value)]) }],
    ["text", 0, { kind: "text", tag: "args", text: golden.text }],
  ])("%s", (name, number, what) => {
    const record = frameRecord(encodeEvent({ wallTime: golden.wall_time, step: number, what }));
    expect(record.toString("base64")).toBe(golden.records[name]);
  });
});

function toNumber(value: number | string): number {
  return typeof value === "number" ? value : value === "nan" ? Number.NaN : Number.POSITIVE_INFINITY;
}

describe("event files", () => {
  test("hold the options, and every number under Hugging Face's names", async () => {
    const { clock, reporter, start, files } = makeRun();
    const own = reporter();
    await own.onStart(start(0));
    await own.onEvaluation(0, { eval_reward: 0.5 });
    clock.seconds += 2;
    await own.onStep(step(1, { reward: 1.5, "completions/mean_length": 20 }));
    const [path] = files();
    expect(path).toMatch(new RegExp(`/events\\.out\\.tfevents\\.${SECOND}\\.[^/]+\\.${process.pid}\\.0$`));
    expect(readEvents(path!)).toEqual([
      { wallTime: SECOND, step: 0, version: "brain.Event:2", scalars: [], texts: [] },
      {
        wallTime: SECOND,
        step: 0,
        scalars: [],
        texts: [["args/text_summary", '```json\n{\n  "seed": 3\n}\n```']],
      },
      { wallTime: SECOND, step: 0, scalars: [["eval/reward", 0.5]], texts: [] },
      {
        wallTime: SECOND + 2,
        step: 1,
        scalars: [
          ["train/reward", 1.5],
          ["train/completions/mean_length", 20],
          ["train/epoch", 0.25],
        ],
        texts: [],
      },
    ]);
  });

  test("a run that goes on adds a file whose mark hides later steps of the earlier one", async () => {
    const { reporter, start, files } = makeRun();
    const first = reporter();
    await first.onStart(start(0));
    for (const number of [1, 2, 3]) await first.onStep(step(number, { reward: number }));
    // In the same second: the name must still sort behind the first one.
    await reporter().onStart(start(2));
    const [before, after] = files();
    expect(before).toContain(`.${SECOND}.`);
    expect(after).toContain(`.${SECOND + 1}.`);
    expect(readEvents(before!).filter(({ session }) => session !== undefined)).toEqual([]);
    const [version, mark, config] = readEvents(after!);
    expect(version!.version).toBe("brain.Event:2");
    expect([mark!.session, mark!.step]).toEqual([1, 3]);
    expect(config!.step).toBe(3);
  });

  test("a run that begins anew over another's files hides all of them", async () => {
    const { reporter, start, files } = makeRun();
    await reporter().onStart(start(0));
    await reporter().onStart(start(0));
    expect(readEvents(files()[1]!)[1]).toMatchObject({ session: 1, step: 0 });
  });

  test("a few completions every so many steps", async () => {
    const { reporter, start, files } = makeRun();
    const own = reporter(2);
    await own.onStart(start(0));
    for (const number of [1, 2]) await own.onStep(step(number, {}, ["a ``` b", "c", "d", "e", "f"]));
    const pages = readEvents(files()[0]!).flatMap(({ step: at, texts }) =>
      texts.filter(([tag]) => tag === "train/completions/text_summary").map(([, text]) => [at, text] as const),
    );
    expect(pages.map(([at]) => at)).toEqual([2]);
    const text = pages[0]![1];
    expect(text.split("---")).toHaveLength(4);
    expect(
      text.startsWith("**row\\_0**: content 0\\.5, format –, advantage 0\\.25, 3 tokens\n\n````\na ``` b\n````"),
    ).toBe(true);
  });

  test("a torn end costs no whole record", async () => {
    const { reporter, start, files } = makeRun();
    const own = reporter();
    await own.onStart(start(0));
    await own.onStep(step(1, { reward: 1 }));
    const path = files()[0]!;
    const whole = readEvents(path).length;
    const size = readFileSync(path).length;
    truncateSync(path, size - 5);
    expect(readEvents(path)).toHaveLength(whole - 1);
  });

  test("after a failed write the file goes on after its last whole record", async () => {
    const { reporter, start, files } = makeRun();
    const own = reporter();
    await own.onStart(start(0));
    const path = files()[0]!;
    // Fails for root too.
    renameSync(path, `${path}.away`);
    mkdirSync(path);
    await expect(own.onStep(step(1, { reward: 1 }))).rejects.toThrow(/cannot write .*tfevents.*: it is a folder/);
    rmdirSync(path);
    renameSync(`${path}.away`, path);
    appendFileSync(path, "half a record");
    await own.onStep(step(2, { reward: 2 }));
    expect(readEvents(path).at(-1)).toMatchObject({ step: 2 });
  });

  test("a folder that cannot be made is named", async () => {
    const { outputDir, reporter, start } = makeRun();
    writeFileSync(join(outputDir, "file"), "");
    const inside = join(outputDir, "file", "run");
    await expect(reporter().onStart({ ...start(0), outputDir: inside })).rejects.toThrow(
      `cannot write the events of TensorBoard into ${inside}`,
    );
  });
});
