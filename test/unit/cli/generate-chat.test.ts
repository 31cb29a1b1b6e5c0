import { readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import fc from "fast-check";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { Chat } from "../../../lib/cli/chat.js";
import { parseChatCommand, splitPaths } from "../../../lib/cli/chat-commands.js";
import { type ChatInput, terminalInput } from "../../../lib/cli/chat-input.js";
import { MessageLines } from "../../../lib/cli/chat-lines.js";
import type { CliContext } from "../../../lib/cli/context.js";
import { generateSchema } from "../../../lib/cli/generate-options.js";
import { withModel } from "../../../lib/cli/open.js";
import type * as StandardInput from "../../../lib/cli/standard-input.js";
import { loadConversations } from "../../../lib/data/datasets/index.js";
import type * as Load from "../../../lib/engine/load.js";
import type { GenerateArgs } from "../../../lib/engine/native-types.js";
import { VlmR1Error } from "../../../lib/errors/index.js";
import { Tokenizer } from "../../../lib/processing/index.js";
import { jsonLines, runCli } from "../../support/cli.js";
import { type FakeOptions, fakeAddon } from "../../support/fake-addon.js";
import { goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

let addon = fakeAddon();
vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));
const stdin = vi.hoisted(() => ({ stream: undefined as Readable | undefined }));
vi.mock("../../../lib/cli/standard-input.js", async (original) => ({
  ...(await original<typeof StandardInput>()),
  isTerminal: () => false,
  standardInput: () => stdin.stream,
}));

const MODEL = goldenPath("qwen2_5_vl_a");
const SQUARE = goldenPath("images/square.png");
const folder = temporaryFolder();
let tokenizer: Tokenizer;

const calls = () => addon.calls.filter(({ verb }) => verb === "generate").map(({ args }) => args as GenerateArgs);
/** What the model saw, with one mark per picture. */
const prompts = () => calls().map(({ prompts: [prompt] }) => textOf(prompt!.tokens));
const textOf = (tokens: Int32Array) => tokenizer.decode(tokens).replace(/(<\|image_pad\|>)+/g, "<|image_pad|>");
const says = (text: string, more: FakeOptions = {}) => {
  addon = fakeAddon({ tokens: [...tokenizer.encode(text), 310], ...more });
};
const turn = (role: string, text: string) => `<|im_start|>${role}\n${text}<|im_end|>\n`;
const START = "<|im_start|>assistant\n";
const PICTURE = "<|vision_start|><|image_pad|><|vision_end|>";

async function talk(lines: string[], ...args: string[]) {
  const stream = new PassThrough();
  stdin.stream = stream;
  stream.end(lines.join("\n"));
  return runCli(["generate", "--model", MODEL, "--chat", ...args]);
}

beforeAll(async () => {
  tokenizer = await Tokenizer.load(MODEL);
});
beforeEach(() => says("Yes."));

describe("a chat", () => {
  it("remembers what was said, and draws every answer from a stream of its own", async () => {
    const { code, stdout, stderr } = await talk(["One?", "", "Two?"], "--system", "Be brief.", "--seed", "4");
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "Yes.\nYes.\n", stderr: "" });
    const begin = turn("system", "Be brief.") + turn("user", "One?");
    expect(prompts()).toEqual([begin + START, begin + turn("assistant", "Yes.") + turn("user", "Two?") + START]);
    expect(calls().map(({ seed, firstRow }) => [seed, firstRow])).toEqual([
      [4, 0],
      [4, 1],
    ]);
  });

  it("takes a first message and first pictures from the command line, more by /image", async () => {
    const lines = [`/image ${SQUARE} '${SQUARE}'`, "<image> and <image>?", "And?"];
    await talk(lines, "--image", SQUARE, "--prompt", "What?");
    const first = turn("user", `${PICTURE}What?`);
    const second = turn("user", `${PICTURE} and ${PICTURE}?`);
    expect(prompts().map((text) => text.slice(text.indexOf("<|im_start|>user")))).toEqual([
      first + START,
      first + turn("assistant", "Yes.") + second + START,
      first + turn("assistant", "Yes.") + second + turn("assistant", "Yes.") + turn("user", "And?") + START,
    ]);
    expect(calls().map(({ prompts: [prompt] }) => prompt?.images.length)).toEqual([1, 3, 3]);
  });

  it("obeys /reset, /system, /help and /exit", async () => {
    const lines = ["One?", "/system Be kind.", "/system", "/reset", "//path?", "/help", "/exit", "never"];
    const { code, stdout, stderr } = await talk(lines);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "Yes.\nYes.\n" });
    expect(stderr).toMatch(/^Be kind\.\n\/image PATH/);
    expect(prompts()[1]).toBe(turn("system", "Be kind.") + turn("user", "/path?") + START);
  });

  it("saves a data set of itself, over no other file", async () => {
    const path = join(folder, "saved chat.json");
    const other = join(folder, "other.json");
    writeFileSync(other, "mine");
    const lines = ["/system Be kind.", `/image ${SQUARE}`, "What?", `/save "${path}"`, "More?", `/save "${path}"`];
    const { code, stderr } = await talk([...lines, `/save ${other}`]);
    expect(code).toBe(1);
    expect(stderr).toContain(`error: ${other} exists already`);
    expect(readFileSync(other, "utf8")).toBe("mine");
    const value = JSON.parse(readFileSync(path, "utf8")) as unknown[];
    expect(value).toEqual([
      {
        id: "chat",
        image: [SQUARE],
        conversations: [
          { from: "system", value: "Be kind." },
          { from: "human", value: "<image>What?" },
          { from: "gpt", value: "Yes." },
          { from: "human", value: "More?" },
          { from: "gpt", value: "Yes." },
        ],
      },
    ]);
    const { rows, problems } = await loadConversations(path);
    expect(problems).toEqual([]);
    expect(rows).toMatchObject([{ images: [SQUARE], solution: "Yes." }]);
  });

  it("goes on after a mistake, tells it, and fails in the end", async () => {
    const long = "word ".repeat(600);
    const lines = ["/image none.png", "/imge x", "<image>?", long, `/image ${SQUARE}`, "<image> <image>", "Fine?"];
    const { code, stdout, stderr } = await talk(lines, "--json");
    const rows = jsonLines(stdout);
    const codes = rows.map(({ error }) => (error as { code?: string } | undefined)?.code);
    expect(codes).toEqual(["ERR_NOT_FOUND", "ERR_USAGE", "ERR_DATA", "ERR_DATA", "ERR_DATA", undefined]);
    expect(stderr).toContain("the model takes 512");
    expect(stderr).toContain("/reset begins a new one");
    expect(stderr).toContain("5 of the chat's messages and commands failed");
    expect(code).toBe(1);
    // Nothing of what failed is kept, but for the picture that waits for a message.
    expect(prompts()[0]).toContain(turn("user", `${PICTURE}Fine?`) + START);
    expect(prompts()).toHaveLength(1);
  });

  it("prints a line per turn for machines", async () => {
    const { stdout, stderr } = await talk(["One?", "Two?"], "--json");
    expect(stderr).toBe("");
    expect(jsonLines(stdout)).toEqual(
      [1, 2].map((number) => ({
        turn: number,
        text: "Yes.",
        finish_reason: "stop",
        prompt_tokens: calls()[number - 1]?.prompts[0]?.tokens.length,
        completion_tokens: tokenizer.encode("Yes.").length + 1,
        seconds_to_first_token: expect.any(Number),
        seconds: expect.any(Number),
      })),
    );
  });

  it("asks for no more than the model has room for, and says where an answer was cut", async () => {
    says("cut", { finishReason: "length" });
    const { stderr } = await talk(["One?"], "--max-new-tokens", "10000");
    const [call] = calls();
    expect(call?.sampling.maxNewTokens).toBe(512 - (call?.prompts[0]?.tokens.length ?? 0));
    expect(stderr).toContain("note: cut");
  });

  it("ends with 130 when it is interrupted, while it waits and while it answers", async () => {
    for (const hangs of [undefined, "generate"]) {
      says("x", { hangs, news: [tokenizer.encode("so far")] });
      const controller = new AbortController();
      const stream = new PassThrough();
      stdin.stream = stream;
      const running = runCli(["generate", "--model", MODEL, "--chat"], { signal: controller.signal });
      if (hangs !== undefined) stream.write("One?\n");
      const verb = hangs ?? "loadModel";
      await vi.waitFor(() => expect(addon.calls.map((call) => call.verb)).toContain(verb), { timeout: 20_000 });
      controller.abort();
      expect(await running).toMatchObject({ code: 130, stdout: hangs === undefined ? "" : "so far\n" });
    }
  });
});

describe("Ctrl-C", () => {
  /** A person at a terminal who writes `lines`, and presses Ctrl-C when asked for one more. */
  async function person(lines: string[], options: FakeOptions = {}, onWrite = (_: () => void) => {}) {
    says("Yes.", options);
    let interrupted = () => {};
    const controller = new AbortController();
    const stdout: string[] = [];
    const stderr: string[] = [];
    const asked: string[] = [];
    const context: CliContext = {
      ...{ version: "1", signal: controller.signal, env: {} },
      stdout: {
        write(text) {
          onWrite(interrupted);
          return stdout.push(text) > 0;
        },
      },
      stderr: { write: (text) => stderr.push(text) > 0 },
    };
    const input: ChatInput = {
      interactive: true,
      async next(prompt) {
        asked.push(prompt);
        const line = lines.shift();
        if (line === "^C" || line === undefined) interrupted();
        return line === "^C" ? "" : line;
      },
      onInterrupt(listener) {
        interrupted = listener;
      },
      close: () => {},
    };
    const config = generateSchema.parse({ model: MODEL, chat: true });
    const interrupt = () => controller.abort(new VlmR1Error("ERR_ABORTED", "interrupted"));
    const running = withModel(context, config, { signal: controller.signal }, (opened) =>
      new Chat({ config, opened, context, input, json: false, interrupt }).run(undefined),
    );
    const error = await running.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return { error, stdout: stdout.join(""), stderr: stderr.join(""), asked };
  }

  it("at the prompt ends the chat, and gives up a message that is being written", async () => {
    const { error, asked, stdout } = await person(["first\\", "^C", "One?"]);
    expect(error).toMatchObject({ code: "ERR_ABORTED" });
    expect(asked).toEqual(["> ", "… ", "> ", "> ", "> "].slice(0, asked.length));
    expect(stdout).toBe("Yes.\n");
    expect(prompts()).toEqual([expect.stringContaining(turn("user", "One?"))]);
  });

  it("during an answer ends that, which is kept as it is", async () => {
    const lines = ["One?", "Two?"];
    const news = [tokenizer.encode("so far")];
    const { stdout, stderr } = await person(lines, { hangs: "generate", news }, (interrupted) =>
      queueMicrotask(interrupted),
    );
    expect(stdout).toBe("so far\nso far\n");
    expect(stderr).toContain("interrupted; what there is of the answer is kept");
    expect(prompts()[1]).toContain(turn("assistant", "so far") + turn("user", "Two?"));
  });
});

describe("lines", () => {
  it.each<[string[], (string | undefined)[]]>([
    [["one"], ["one"]],
    [
      ["one\\", "two"],
      [undefined, "one\ntwo"],
    ],
    [
      ['"""', "a", "", "b", '"""', "c"],
      [undefined, undefined, undefined, undefined, "a\n\nb", "c"],
    ],
    [
      ['"""a', 'b"""'],
      [undefined, "a\nb"],
    ],
    [['"""all"""'], ["all"]],
    [['"""/help"""  '], ["/help"]],
  ])("%j are the messages %j", (lines, messages) => {
    const reader = new MessageLines();
    expect(lines.map((line) => reader.push(line))).toEqual(messages);
    expect(reader.unfinished).toBe(false);
    expect(reader.end()).toBeUndefined();
  });

  it("lose nothing at the end", () => {
    const reader = new MessageLines();
    expect([reader.push('"""a'), reader.push("b"), reader.unfinished]).toEqual([undefined, undefined, true]);
    expect(reader.end()).toBe("a\nb");
    expect([reader.push("c\\"), reader.end(), reader.push("d")]).toEqual([undefined, "c", "d"]);
  });
});

describe("commands", () => {
  it.each([
    ["a.png b.png", ["a.png", "b.png"]],
    [`'my dish.png' "it's.png"`, ["my dish.png", "it's.png"]],
    ["my\\ dish.png", ["my dish.png"]],
    ["it's", ["it's"]],
    ["", []],
    // As terminals write files that are dropped on them.
    ["'/my dishes/a b.png' file:///my%20dishes/a.png", ["/my dishes/a b.png", "/my dishes/a.png"]],
    ["~/a.png ~ a~/b", [join(homedir(), "a.png"), homedir(), "a~/b"]],
  ])("take the paths of %s", (text, paths) => {
    expect(splitPaths(text)).toEqual(paths);
  });

  it("are read or refused, whatever is written", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const message = text.startsWith("/") ? text : `x${text}`;
        try {
          const command = parseChatCommand(message);
          if (!message.startsWith("/")) expect(command).toEqual({ kind: "message", text: message });
        } catch (error) {
          expect(error).toMatchObject({ code: "ERR_USAGE" });
        }
      }),
    );
  });

  it("tell a dropped file from a command", () => {
    const refusal = (text: string) => {
      try {
        parseChatCommand(text);
      } catch (error) {
        return (error as VlmR1Error).hint;
      }
      return undefined;
    };
    expect(refusal("/home/me/dish.jpg")).toContain("/image PATH");
    expect(refusal("/imag x")).toContain("/help");
  });

  it.each(["/image file://elsewhere/a.png", "/imag x", "/image", "/save", "/save a b", "/exit now"])(
    "refuse %s",
    (text) => {
      expect(() => parseChatCommand(text)).toThrowError();
    },
  );
});

describe("a terminal", () => {
  const open = () => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    return { input, terminal: terminalInput(input, output, new AbortController().signal), output };
  };

  it("shows prompts, keeps lines that come early, and ends at Ctrl-D", async () => {
    const { input, terminal, output } = open();
    const first = terminal.next("> ");
    input.write("one\rtwo\r");
    expect([await first, await terminal.next("> ")]).toEqual(["one", "two"]);
    expect(output.read()?.toString()).toContain("> ");
    const last = terminal.next("> ");
    input.write("\x04");
    expect(await last).toBeUndefined();
    expect(await terminal.next("> ")).toBeUndefined();
  });

  it("tells Ctrl-C to whom it concerns now", async () => {
    const { input, terminal } = open();
    const heard: string[] = [];
    for (const who of ["prompt", "answer"]) {
      terminal.onInterrupt(() => heard.push(who));
      input.write("\x03");
      await vi.waitFor(() => expect(heard.at(-1)).toBe(who), { timeout: 20_000 });
    }
    terminal.close();
    expect(heard).toEqual(["prompt", "answer"]);
  });
});
