import type { DecodeRequest, DecodeStep, NativeDecoder } from "../../lib/engine/native-types.js";

export interface FakeDecoderOptions {
  /** What a request is answered with; the last token ends it. */
  answer(request: DecodeRequest): readonly number[];
  maxRows: number;
}

interface Row {
  request: DecodeRequest;
  tokens: readonly number[];
  drawn: number;
}

/** A decoder without a model: one token of every request that is under way per step. */
export function fakeDecoder({ answer, maxRows }: FakeDecoderOptions): NativeDecoder {
  let rows: Row[] = [];
  const draw = (row: Row, step: DecodeStep): boolean => {
    const { request } = row;
    const token = row.tokens[row.drawn] ?? 0;
    row.drawn += 1;
    step.news.push({ id: request.id, token, logProb: -0.5 });
    const stopped = row.drawn >= row.tokens.length;
    if (!stopped && row.drawn < request.sampling.maxNewTokens) return true;
    step.finished.push({ id: request.id, finishReason: stopped ? "stop" : "length", message: "" });
    return false;
  };
  return {
    async add({ requests }) {
      rows.push(...requests.map((request) => ({ request, tokens: answer(request), drawn: 0 })));
    },
    async remove({ ids }) {
      rows = rows.filter(({ request }) => !ids.includes(request.id));
    },
    async step() {
      await new Promise((resolve) => setImmediate(resolve));
      const step: DecodeStep = { news: [], finished: [], active: 0, waiting: 0 };
      const room = maxRows > 0 ? maxRows : rows.length;
      const active = rows.slice(0, room).filter((row) => draw(row, step));
      rows = [...active, ...rows.slice(room)];
      return { ...step, active: active.length, waiting: rows.length - active.length };
    },
    dispose() {
      rows = [];
    },
  };
}
