import type { LoadModelArgs } from "../../lib/engine/native-types.js";

/** What a model is loaded with where nothing else is asked for. */
export const PLAIN_LOAD: Omit<LoadModelArgs, "directory"> = {
  precision: "auto",
  train: "none",
  frozen: [],
  lora: null,
  gradientCheckpointing: false,
  noDecay: [],
  moments: "f32",
  stochasticRounding: false,
  writable: false,
};
