import type { GrpoConfig } from "../config/train-schema.js";

export type EntropyConfig = Pick<
  GrpoConfig,
  "entropyCoef" | "useAdaptiveEntropy" | "entropyCoefMin" | "entropyCoefMax" | "entropyCoefDelta" | "entropyTarget"
>;

/**
 * The weight of the entropy bonus, as TRL 1.13 sets it: constant, or raised by a little after every update that found
 * the entropy at most at its target, lowered after the others, and applied only while the last entropy was that low
 * (Skywork-OR1).
 */
export class EntropyControl {
  private coefficient: number;
  /** Of the last update; nothing is applied before the first one is known. */
  private last: number | undefined;

  constructor(private readonly config: EntropyConfig) {
    this.coefficient = config.entropyCoef;
  }

  /** Whether the loss has a bonus, be it 0 at the moment. */
  get enabled(): boolean {
    return this.config.entropyCoef !== 0 || this.config.useAdaptiveEntropy;
  }

  /** For the next update. */
  get applied(): number {
    const { useAdaptiveEntropy, entropyTarget } = this.config;
    if (!useAdaptiveEntropy) return this.coefficient;
    return this.last !== undefined && this.last <= entropyTarget ? this.coefficient : 0;
  }

  /** What the next update is to have, for reports. */
  get current(): number {
    return this.coefficient;
  }

  /** The mean entropy, in nats per token, that an update was made with. */
  observe(entropy: number): void {
    const { useAdaptiveEntropy, entropyTarget, entropyCoefDelta, entropyCoefMin, entropyCoefMax } = this.config;
    if (!useAdaptiveEntropy || !Number.isFinite(entropy)) return;
    this.coefficient =
      entropy <= entropyTarget
        ? Math.min(this.coefficient + entropyCoefDelta, entropyCoefMax)
        : Math.max(this.coefficient - entropyCoefDelta, entropyCoefMin);
    this.last = entropy;
  }

  state(): Record<string, number> {
    if (!this.config.useAdaptiveEntropy) return {};
    return { entropyCoef: this.coefficient, ...(this.last === undefined ? {} : { lastEntropy: this.last }) };
  }

  restore({ entropyCoef, lastEntropy }: Readonly<Record<string, number>>): void {
    if (!this.config.useAdaptiveEntropy) return;
    this.coefficient = entropyCoef ?? this.coefficient;
    this.last = lastEntropy;
  }
}
