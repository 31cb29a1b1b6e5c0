import { describe, expect, test } from "vitest";
import { EntropyControl } from "../../../lib/trainer/entropy-control.js";

const config = {
  entropyCoef: 0.01,
  useAdaptiveEntropy: false,
  entropyCoefMin: 0.004,
  entropyCoefMax: 0.02,
  entropyCoefDelta: 0.006,
  entropyTarget: 0.5,
};

describe("the weight of the entropy bonus", () => {
  test("is constant unless it is to adapt", () => {
    const control = new EntropyControl(config);
    expect(control.enabled).toBe(true);
    control.observe(0.1);
    expect([control.applied, control.current]).toEqual([0.01, 0.01]);
    expect(control.state()).toEqual({});
    expect(new EntropyControl({ ...config, entropyCoef: 0 }).enabled).toBe(false);
  });

  test("adapts as TRL's: applied while the last entropy was at most the target, and moved within its bounds", () => {
    const control = new EntropyControl({ ...config, useAdaptiveEntropy: true });
    const seen = [control.applied];
    for (const entropy of [0.5, 0.2, 0.7, 0.6, 0.9, 0.4]) {
      control.observe(entropy);
      seen.push(control.applied, control.current);
    }
    const expected = [0, 0.016, 0.016, 0.02, 0.02, 0, 0.014, 0, 0.008, 0, 0.004, 0.01, 0.01];
    for (const [index, value] of expected.entries()) expect(seen[index]).toBeCloseTo(value, 12);
  });

  test("is enabled by adapting alone, and goes on from its state", () => {
    const adaptive = { ...config, entropyCoef: 0, useAdaptiveEntropy: true };
    const control = new EntropyControl(adaptive);
    expect(control.enabled).toBe(true);
    control.observe(0.1);
    // An update without tokens says nothing.
    control.observe(Number.NaN);
    const resumed = new EntropyControl(adaptive);
    resumed.restore(JSON.parse(JSON.stringify(control.state())));
    for (const one of [control, resumed]) one.observe(0.2);
    expect(resumed.applied).toBe(control.applied);
    expect(resumed.current).toBe(0.012);
  });
});
