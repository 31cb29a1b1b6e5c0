import { VlmR1Error } from "../errors/index.js";
import { type CallOptions, underSignal } from "./guard.js";
import type { DecodeRequest, DecodeStep, NativeDecoder } from "./native-types.js";

/**
 * Continuous batching: completions of many requests, each with sampling of its own, grow together; new ones join at any
 * time. The caller drives it: `add` requests, call `step` in a loop. Made by `model.openDecoder()`; call `dispose()`
 * when done.
 */
export class Decoder {
  /** @internal Made by `Model.openDecoder`. */
  constructor(private native: NativeDecoder | undefined) {}

  get disposed(): boolean {
    return this.native === undefined;
  }

  /** Queues requests. One that cannot be decoded rejects all of them with `ERR_TOKENS`, `ERR_SHAPE` or `ERR_ARGUMENT`. */
  async add(requests: readonly DecodeRequest[], { signal }: CallOptions = {}): Promise<void> {
    const native = this.open("add");
    const bare = requests.map((request) => {
      const { tokens, images } = request.prompt;
      return { ...request, prompt: { tokens, images } };
    });
    return underSignal(signal, (flag) => native.add({ requests: bare }, flag));
  }

  /** Ends requests before their time; unknown ids are passed over. */
  async remove(ids: readonly number[], { signal }: CallOptions = {}): Promise<void> {
    const native = this.open("remove");
    return underSignal(signal, (flag) => native.remove({ ids: [...ids] }, flag));
  }

  /**
   * Draws tokens until something ends or `maxMilliseconds` are over; at least one each where there is anything. Aborted,
   * it rejects with the signal's reason, and what it had drawn comes with the next step. Rejects with `ERR_STATE` where
   * the model's weights were written while requests were under way: remove them, and add them again.
   */
  async step({ maxMilliseconds = 50, signal }: { maxMilliseconds?: number } & CallOptions = {}): Promise<DecodeStep> {
    const native = this.open("step");
    return underSignal(signal, (flag) => native.step({ maxMilliseconds }, flag));
  }

  /** Frees its keys and values; safe to call twice. */
  dispose(): void {
    this.native?.dispose();
    this.native = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private open(verb: string): NativeDecoder {
    if (this.native !== undefined) return this.native;
    throw new VlmR1Error("ERR_STATE", `${verb}: the decoder was disposed`);
  }
}
