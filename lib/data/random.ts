/**
 * Counter-based random numbers: a stream is named by numbers (seed, epoch, row …) and gives the same values whenever
 * and wherever it is asked, so that a resumed run needs no stored generator.
 */
export class RandomStream {
  private state: number;

  constructor(...name: readonly number[]) {
    let hash = 0x9e3779b9;
    for (const part of name) {
      // Both halves of a number up to 2^53 count.
      hash = mix(hash ^ (part >>> 0));
      hash = mix(hash ^ (Math.floor(part / 2 ** 32) >>> 0));
    }
    this.state = hash;
  }

  /** Uniform over the whole numbers 0 … 2^32 − 1. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    return mix(this.state);
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return this.next() / 2 ** 32;
  }

  /** Uniform over 0 … limit − 1, without the bias of a remainder. */
  below(limit: number): number {
    const fair = 2 ** 32 - (2 ** 32 % limit);
    for (;;) {
      const value = this.next();
      if (value < fair) return value % limit;
    }
  }
}

/** The finaliser of MurmurHash3 with stronger constants (by C. Wellons): a bijection of 32-bit numbers. */
function mix(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** A random order of 0 … length − 1 that depends on the stream's name alone (Fisher–Yates). */
export function permutation(length: number, ...name: readonly number[]): Uint32Array {
  const order = Uint32Array.from({ length }, (_, index) => index);
  const random = new RandomStream(...name);
  for (let last = length - 1; last > 0; last -= 1) {
    const other = random.below(last + 1);
    const held = order[last] as number;
    order[last] = order[other] as number;
    order[other] = held;
  }
  return order;
}
