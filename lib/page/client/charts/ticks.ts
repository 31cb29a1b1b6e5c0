import type { Unit } from "./catalog.js";

/** A label of an axis: no more digits than it takes to tell it from the next one. */
export function formatTick(value: number, unit: Unit, all: readonly (number | null)[]): string {
  const present = all.filter((other): other is number => other !== null);
  const step = Math.abs((present[1] ?? present[0] ?? 0) - (present[0] ?? 0)) || Math.abs(value);
  if (value === 0) return unit === "share" ? "0 %" : "0";
  if (unit === "share") return `${(100 * value).toFixed(digitsFor(100 * step))} %`.replace("-", "−");
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return exponent(value);
  return value.toFixed(digitsFor(step)).replace("-", "−");
}

/** As many decimals as the distance of two ticks has: 2 for 0.25. */
function digitsFor(step: number): number {
  for (let digits = 0; digits < 6; digits += 1) {
    const scaled = step * 10 ** digits;
    if (scaled > 0.5 && Math.abs(scaled - Math.round(scaled)) < 1e-6) return digits;
  }
  return 6;
}

function exponent(value: number): string {
  return value.toExponential(1).replace(".0e", "e").replace("e+", "e").replaceAll("-", "−");
}
