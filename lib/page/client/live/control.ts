export type Command = { action: "pause" | "continue" | "stop" } | { action: "set_learning_rate"; value: number };

export interface Answer {
  ok: boolean;
  /** The token is not the right one. */
  refused: boolean;
  /** For the reader. */
  text: string;
}

const DONE: Record<Command["action"], string> = {
  pause: "The run pauses before its next step.",
  continue: "The run goes on.",
  stop: "The run writes a checkpoint after the step at hand, and stops.",
  set_learning_rate: "The learning rate changes with the next step.",
};

/** Asks the server to steer the run; what goes wrong is told, not thrown. */
export async function send(command: Command, token: string): Promise<Answer> {
  try {
    const response = await fetch("control", {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(command),
    });
    if (response.ok) return { ok: true, refused: false, text: DONE[command.action] };
    if (response.status === 401) return { ok: false, refused: true, text: "The token was not accepted." };
    const { error, hint } = await problemOf(response);
    const text = [error ?? `The server answered with status ${response.status}.`, hint].filter(Boolean).join(" ");
    return { ok: false, refused: false, text };
  } catch {
    return { ok: false, refused: false, text: "The server cannot be reached." };
  }
}

async function problemOf(response: Response): Promise<{ error?: string; hint?: string }> {
  try {
    return (await response.json()) as { error?: string; hint?: string };
  } catch {
    return {};
  }
}
