// Proves that a killed run goes on bit for bit. It trains a run to its end, then the same run again with SIGKILL (or
// another signal) at seeded random moments (while it starts, samples, learns, evaluates, and while it writes a checkpoint), goes on with
// --resume each time, and compares the last checkpoint byte by byte, metrics.jsonl and completions.jsonl; times aside.
// No warning may be lost, and environment.json must tell of a run from its beginning.
// Usage: npm run kill-resume -- [--kills 25] [--seed 0] [--steps 40] [--signal SIGINT] [--out DIR] [-- options of train …]
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const MAIN = `${ROOT}dist/cli/main.js`;
const KINDS = ["checkpoint", "any", "evaluation", "checkpoint", "any", "start"];
/** Milliseconds that a run may take to end in good order, also on a machine that does much else. */
const PATIENCE = 20_000;
/** Kills that must have met a run in the middle of these. */
const LEAST = { checkpoint: 5, evaluation: 3 };
const EVAL_STEPS = 3;
/** What a clock says. */
const TIMES = /^seconds$|step_time$|_time$|_seconds$|_runtime$|per_second$/;
/** A random model writes by chance what this pays for: small code points. */
const REWARD = `export default function byCodePoint(completion) {
  return [...completion].reduce((sum, character) => sum - Math.min(1, (character.codePointAt(0) ?? 0) / 1000), 0);
}
`;

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Kills and resumes. Gives `{ kills: [{ kind, step, during, from }], lives, problems }`: what was hit, how many runs
 * reached their end, and what differed from the run that was left alone.
 * @param {{ kills?: number, seed?: number, steps?: number, signal?: string, folder: string, more?: string[] }} options
 */
export async function killAndResume({ kills = 25, seed = 0, steps = 40, signal = "SIGKILL", folder, more = [] }) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "reward.mjs"), REWARD);
  const args = (name) => trainArguments(join(folder, name), join(folder, "reward.mjs"), steps, more);
  const reference = join(folder, "reference");
  await untilEnd(spawnRun(args("reference")));
  const random = randomNumbers(seed);
  const done = [];
  const problems = [];
  const life = join(folder, "killed");
  let lives = 0;
  // What is asked to end finishes what it is at: of it nothing is left behind that would show.
  const least = signal === "SIGKILL" ? Object.keys(LEAST) : [];
  const enough = () => done.length >= kills && least.every((what) => count(done, what) >= LEAST[what]);
  for (let turn = 0; ; turn += 1) {
    const child = spawnRun(args("killed"));
    const kind = enough() ? undefined : KINDS[turn % KINDS.length];
    const killed = kind !== undefined && (await killAt(child, life, kind, { random, signal }));
    if (killed) {
      done.push({ kind, ...found(life, child), from: /from step (\d+)/.exec(child.text)?.[1] ?? "" });
      if (signal !== "SIGKILL") problems.push(...disorder(done.at(-1), child));
      if (turn > 10 * kills)
        throw new Error(`too few of ${turn} kills met a checkpoint or an evaluation: ${table(done)}`);
      continue;
    }
    await untilEnd(child);
    lives += 1;
    problems.push(...compareRuns(reference, life));
    if (enough() || problems.length > 0) return { kills: done, lives, problems };
    rmSync(life, { recursive: true });
  }
}

function trainArguments(outputDir, reward, steps, more) {
  const golden = `${ROOT}test/golden`;
  return [
    ...["train", "--model", `${golden}/qwen2_5_vl_a`, "--dataset", `${golden}/conversations.json`],
    ...["--eval-dataset", `${golden}/conversations.json`, "--device=cpu", "--threads", "2", "--reward", reward],
    ...["--prompts-per-step", "3", "--num-generations", "4", "--max-completion-length", "16", "--lr", "1e-3"],
    ...["--num-iterations", "2", "--save-steps", "1", "--eval-steps", String(EVAL_STEPS), "--max-steps", String(steps)],
    ...["--output-dir", outputDir, "--resume", "--logging-steps", "1", "--json", ...more],
  ];
}

/** A run as a process; what it says is in `text`. */
function spawnRun(args) {
  const process_ = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const child = { process: process_, text: "", over: false, closed: undefined };
  for (const stream of [process_.stdout, process_.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      child.text += text;
    });
  }
  child.closed = new Promise((resolve, reject) => {
    process_.on("error", reject);
    process_.on("close", (code, signal) => {
      child.over = true;
      resolve({ code, signal });
    });
  });
  return child;
}

async function untilEnd(child) {
  const { code, signal } = await child.closed;
  if (code !== 0) throw new Error(`a run ended with ${code ?? signal}:\n${child.text}`);
}

/** Waits for the moment and kills; false where the run was over before. */
async function killAt(child, folder, kind, { random, signal }) {
  const moment = MOMENTS[kind](folder, random);
  while (!child.over && kind !== "start" && !(isStarted(child) && moment.come())) await sleep(1);
  await sleep(moment.delay);
  if (child.over) return false;
  const asked = performance.now();
  child.process.kill(signal);
  const ended = await child.closed;
  child.milliseconds = performance.now() - asked;
  return ended.signal === signal || ended.code === 130;
}

/** What a run that was asked to end must not do. */
function disorder({ left }, child) {
  const problems = left === "" ? [] : [`it left ${left}`];
  if (child.milliseconds > PATIENCE) problems.push(`it took ${Math.round(child.milliseconds)} ms to end`);
  if (/error \[/.test(child.text)) problems.push(`it ended with an error:\n${child.text}`);
  return problems;
}

/** Each: when to start to wait, and for how many milliseconds to wait then. */
const MOMENTS = {
  start: (_, random) => ({ come: () => true, delay: 600 * random() }),
  any: (_, random) => ({ come: () => true, delay: 400 * random() }),
  checkpoint: (folder, random) => {
    let left = 1 + Math.floor(4 * random());
    let last = "";
    const come = () => {
      const name = unfinished(folder)[0] ?? "";
      if (name !== "" && name !== last) left -= 1;
      last = name;
      return left === 0;
    };
    return { come, delay: 20 * random() };
  },
  evaluation: (folder, random) => ({ come: () => inEvaluation(folder), delay: 10 * random() }),
};

/** Before that the folder is as the last kill left it. */
function isStarted(child) {
  return /^GRPO: /m.test(child.text);
}

function unfinished(folder) {
  const checkpoints = join(folder, "checkpoints");
  return existsSync(checkpoints) ? readdirSync(checkpoints).filter((name) => name.startsWith(".")) : [];
}

/** The last line is that of a step after which there is an evaluation. */
function inEvaluation(folder) {
  const last = jsonLines(join(folder, "metrics.jsonl")).at(-1);
  return last !== undefined && last.epoch !== undefined && last.step % EVAL_STEPS === 0;
}

/** What a kill has left. */
function found(folder, child) {
  const names = unfinished(folder);
  const step = jsonLines(join(folder, "metrics.jsonl")).findLast(({ epoch }) => epoch !== undefined)?.step ?? 0;
  const inside = names.length > 0 ? "checkpoint" : inEvaluation(folder) ? "evaluation" : "";
  return { step, during: isStarted(child) ? inside : "start", left: names.join(" ") };
}

/** How the end of one run differs from that of another. */
export function compareRuns(expected, got) {
  const newest = (folder) => readdirSync(join(folder, "checkpoints")).sort().at(-1);
  const names = [newest(expected), newest(got)];
  if (names[0] !== names[1]) return [`last checkpoint: expected ${names[0]}, got ${names[1]}`];
  const checkpoint = join("checkpoints", names[0]);
  const files = filesOf(join(expected, checkpoint));
  const problems = [];
  if (filesOf(join(got, checkpoint)).join() !== files.join()) problems.push(`${checkpoint}: other files`);
  for (const file of files.map((name) => join(checkpoint, name))) {
    const same = file.endsWith("trainer.json") ? sameJson(expected, got, file) : sameBytes(expected, got, file);
    if (!same) problems.push(`${file} differs`);
  }
  for (const file of ["metrics.jsonl", "completions.jsonl"]) {
    if (!sameJson(expected, got, file)) problems.push(`${file} differs`);
  }
  if (!sameBytes(expected, got, "best.json")) problems.push("best.json differs");
  if (!sameModel(expected, got)) problems.push("environment.json differs");
  return [...problems, ...missingWarnings(expected, got)];
}

/** Processes that went on are in the file too, and differ. */
function sameModel(expected, got) {
  const [a, b] = [expected, got].map((folder) => JSON.parse(readFileSync(join(folder, "environment.json"), "utf8")));
  const fromStart = b.sessions.length > 0 && b.sessions[0].from_step === 0;
  return fromStart && a.objective === b.objective && JSON.stringify(a.model) === JSON.stringify(b.model);
}

/** A run that goes on has warnings of its own beginning beside those of the steps; one that names its folder is such. */
function missingWarnings(expected, got) {
  const messages = (folder) => jsonLines(join(folder, "warnings.jsonl")).map(({ message }) => message);
  const there = new Set(messages(got));
  const missing = messages(expected).filter((message) => !message.includes(expected) && !there.has(message));
  return missing.length === 0 ? [] : ["warnings.jsonl differs"];
}

function filesOf(folder) {
  const names = readdirSync(folder, { recursive: true }).map(String);
  return names.filter((name) => statSync(join(folder, name)).isFile()).sort();
}

function sameBytes(expected, got, file) {
  const [a, b] = [expected, got].map((folder) => join(folder, file));
  return existsSync(a) === existsSync(b) && (!existsSync(a) || readFileSync(a).equals(readFileSync(b)));
}

function sameJson(expected, got, file) {
  const [a, b] = [expected, got].map((folder) => jsonLines(join(folder, file), timeless));
  return JSON.stringify(a) === JSON.stringify(b);
}

function timeless(key, value) {
  return TIMES.test(key) ? undefined : value;
}

/** A last line that is being written is left out. */
function jsonLines(path, reviver) {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line, reviver));
}

function count(kills, what) {
  return kills.filter(({ during }) => during === what).length;
}

function table(kills) {
  const rows = kills.map(({ kind, from, step, during, left }, index) => [index + 1, kind, from, step, during, left]);
  return [["kill", "aimed at", "went on from", "steps done", "met", "left behind"], ...rows]
    .map((row) => row.map((cell, column) => String(cell).padEnd([6, 12, 14, 12, 12, 0][column])).join(""))
    .map((line) => line.trimEnd())
    .join("\n");
}

async function main() {
  const split = process.argv.indexOf("--");
  const own = process.argv.slice(2, split < 0 ? undefined : split);
  const text = (value) => ({ type: "string", default: value });
  const options = {
    kills: text("25"),
    seed: text("0"),
    steps: text("40"),
    signal: text("SIGKILL"),
    out: { type: "string" },
  };
  const values = readOptions(own, options);
  const folder = values.out ?? mkdtempSync(join(tmpdir(), "kill-resume-"));
  const more = split < 0 ? [] : process.argv.slice(split + 1);
  const numbers = { kills: Number(values.kills), seed: Number(values.seed), steps: Number(values.steps) };
  const { kills, lives, problems } = await killAndResume({ ...numbers, signal: values.signal, folder, more });
  console.log(table(kills));
  console.log(`\n${kills.length} kills, ${count(kills, "checkpoint")} of them in the middle of a checkpoint and`);
  console.log(`${count(kills, "evaluation")} of an evaluation; ${lives} killed runs reached their end`);
  for (const problem of problems) console.log(`✗ ${problem}`);
  console.log(problems.length === 0 ? "✓ all as in the run that was left alone, bit for bit" : `see ${folder}`);
  if (problems.length === 0 && values.out === undefined) rmSync(folder, { recursive: true });
  process.exitCode = problems.length === 0 ? 0 : 1;
}

/** A wrong option ends with what there is, not with a stack. */
function readOptions(args, options) {
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    console.error(
      `${error.message}\nnpm run kill-resume -- [--${Object.keys(options).join(" …] [--")} …] [-- options of train]`,
    );
    process.exit(2);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
