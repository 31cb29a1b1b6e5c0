import { parseArgs } from "node:util";
import { kinds } from "./cases.mjs";

export function readOptions() {
  const { values } = parseArgs({
    options: {
      python: { type: "string", default: "python3" },
      threads: { type: "string", default: "2" },
      rounds: { type: "string", default: "7" },
      only: { type: "string" },
      small: { type: "boolean", default: false },
      kept: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  for (const name of ["threads", "rounds"]) {
    const value = Number(values[name]);
    if (!(Number.isInteger(value) && value > 0)) {
      throw new Error(`--${name}: expected a whole number above 0, got "${values[name]}"`);
    }
    values[name] = value;
  }
  values.only = values.only?.split(",");
  const wrong = values.only?.find((kind) => !kinds.includes(kind));
  if (wrong !== undefined) throw new Error(`--only: no "${wrong}"; there are: ${kinds.join(", ")}`);
  return values;
}
