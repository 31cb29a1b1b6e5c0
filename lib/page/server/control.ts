import type { IncomingMessage } from "node:http";
import { z } from "zod";
import { VlmR1Error } from "../../errors/index.js";

/** How a page steers its run. What cannot be done now throws. */
export interface Controls {
  pause(): void;
  continue(): void;
  stop(): void;
  setLearningRate(value: number): void;
}

const Command = z.discriminatedUnion("action", [
  z.strictObject({ action: z.literal("pause") }),
  z.strictObject({ action: z.literal("continue") }),
  z.strictObject({ action: z.literal("stop") }),
  z.strictObject({ action: z.literal("set_learning_rate"), value: z.number().min(0) }),
]);

export type Command = z.output<typeof Command>;

export interface Answer {
  status: number;
  body: { ok: true } | { error: string; hint?: string | undefined };
}

/** Bytes of a command, which has a few dozen. */
const MOST_BYTES = 4096;

export const refusal = (status: number, error: string, hint?: string): Answer => ({ status, body: { error, hint } });

/** Reads a command and carries it out; 4xx with the reason where that cannot be done. */
export async function answerCommand(request: IncomingMessage, controls: Controls | undefined): Promise<Answer> {
  if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? "")) {
    return refusal(415, "a command is JSON", "Send it with Content-Type: application/json.");
  }
  const text = await readBody(request);
  if (text === undefined) return refusal(413, `a command has at most ${MOST_BYTES} bytes`);
  const command = parseCommand(text);
  if (command === undefined) {
    return refusal(
      400,
      "this is no command",
      'Known are {"action": "pause"}, "continue", "stop", and {"action": "set_learning_rate", "value": 1e-6}.',
    );
  }
  if (controls === undefined) return refusal(409, "no run is under way that this page could steer");
  try {
    act(controls, command);
    return { status: 200, body: { ok: true } };
  } catch (error) {
    const hint = error instanceof VlmR1Error ? error.hint : undefined;
    return refusal(409, error instanceof Error ? error.message : String(error), hint);
  }
}

function act(controls: Controls, command: Command): void {
  if (command.action === "set_learning_rate") controls.setLearningRate(command.value);
  else controls[command.action]();
}

function parseCommand(text: string): Command | undefined {
  try {
    return Command.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Undefined for one that is too long; rejects where the client goes away. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > MOST_BYTES) return undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > MOST_BYTES) return undefined;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
