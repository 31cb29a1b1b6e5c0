import { VlmR1Error } from "../errors/index.js";

/** Numbers of tokens, `[completions][tokens]`; rows may have different lengths. */
export type TokenRows = readonly ArrayLike<number>[];

/** Which tokens of a batch are in the loss. */
export class ScoredTokens {
  /** Per completion, the places of its tokens. A completion of which none is scored has none. */
  readonly places: readonly number[][];
  private readonly lengths: readonly number[];

  /** Throws `ERR_ARGUMENT` or `ERR_SHAPE` where `logProbs` or `mask` is not what it should be. */
  constructor(logProbs: TokenRows, mask: TokenRows | undefined) {
    checkRows("logProbs", logProbs);
    if (logProbs.length === 0) throw new VlmR1Error("ERR_SHAPE", "logProbs: expected at least one completion");
    this.lengths = logProbs.map(({ length }) => length);
    if (mask !== undefined) this.checkShape("mask", mask);
    this.places = logProbs.map((row, c) => {
      const places = Array.from({ length: row.length }, (_, i) => i);
      return mask === undefined ? places : places.filter((i) => maskBit(mask, c, i) === 1);
    });
  }

  get total(): number {
    return this.places.reduce((sum, { length }) => sum + length, 0);
  }

  /** The scored tokens' numbers, which have to be finite as f32; what others hold does not matter. */
  gather(name: string, rows: TokenRows): Float32Array[] {
    this.checkShape(name, rows);
    return this.places.map((places, c) =>
      Float32Array.from(places, (i) => {
        const value = rows[c]?.[i];
        if (typeof value === "number" && Number.isFinite(Math.fround(value))) return value;
        throw new VlmR1Error("ERR_ARGUMENT", `${name}[${c}][${i}]: expected a finite number, got ${String(value)}`, {
          hint: "Tokens whose mask is 0 may hold anything.",
        });
      }),
    );
  }

  /** The inverse of `gather`: 0 for tokens that are not scored. */
  scatter(values: readonly Float32Array[]): Float32Array[] {
    return this.lengths.map((length, c) => {
      const row = new Float32Array(length);
      for (const [n, i] of (this.places[c] ?? []).entries()) row[i] = values[c]?.[n] ?? 0;
      return row;
    });
  }

  private checkShape(name: string, rows: TokenRows): void {
    checkRows(name, rows);
    if (rows.length !== this.lengths.length) {
      const expected = `${this.lengths.length} (completions of logProbs)`;
      throw new VlmR1Error("ERR_SHAPE", `${name}: expected ${expected}, got ${rows.length}`);
    }
    for (const [c, { length }] of rows.entries()) {
      if (length === this.lengths[c]) continue;
      throw new VlmR1Error(
        "ERR_SHAPE",
        `${name}[${c}]: expected ${this.lengths[c]} tokens, as in logProbs, got ${length}`,
      );
    }
  }
}

function checkRows(name: string, rows: TokenRows): void {
  const bad = Array.isArray(rows) ? rows.findIndex((row) => !isNumbers(row)) : -2;
  if (bad === -1) return;
  const where = bad === -2 ? name : `${name}[${bad}]`;
  const expected = bad === -2 ? "an array of rows, one per completion" : "an array of numbers, one per token";
  throw new VlmR1Error("ERR_ARGUMENT", `${where}: expected ${expected}`);
}

function isNumbers(row: unknown): boolean {
  return Array.isArray(row) || (ArrayBuffer.isView(row) && !(row instanceof DataView));
}

function maskBit(mask: TokenRows, c: number, i: number): number {
  const bit = mask[c]?.[i];
  if (bit === 0 || bit === 1) return bit;
  throw new VlmR1Error("ERR_ARGUMENT", `mask[${c}][${i}]: expected 0 or 1, got ${String(bit)}`);
}
