/** Keeps the results of the latest calls, up to a number of bytes; calls for one key that overlap share one result. */
export class ByteCache<T> {
  /** In order of use, oldest first. */
  private readonly entries = new Map<string, { value: Promise<T>; bytes: number }>();
  private total = 0;

  constructor(
    private readonly maxBytes: number,
    private readonly sizeOf: (value: T) => number,
  ) {}

  get bytes(): number {
    return this.total;
  }

  get size(): number {
    return this.entries.size;
  }

  async get(key: string, make: () => Promise<T>): Promise<T> {
    const found = this.entries.get(key);
    if (found !== undefined) {
      this.entries.delete(key);
      this.entries.set(key, found);
      return found.value;
    }
    const entry = { value: make(), bytes: 0 };
    this.entries.set(key, entry);
    try {
      const value = await entry.value;
      entry.bytes = this.sizeOf(value);
      this.total += entry.bytes;
      this.shrink();
      return value;
    } catch (error) {
      this.entries.delete(key);
      throw error;
    }
  }

  private shrink(): void {
    for (const [key, { bytes }] of this.entries) {
      if (this.total <= this.maxBytes) return;
      // Entries in the making have no size yet and are left to their makers.
      if (bytes === 0) continue;
      this.entries.delete(key);
      this.total -= bytes;
    }
  }
}
