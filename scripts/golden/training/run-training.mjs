// Trains as a case says and writes down what is needed to train the same elsewhere: the tokens that were drawn, and what
// the trainer reports. Usage: node run-training.mjs CASE.json OUT, a folder: trace.json, start (a fresh adapter), end.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Model, Trainer } from "../../../dist/index.js";

const [, , file, out] = process.argv;
if (file === undefined || out === undefined) {
  console.error("usage: node run-training.mjs CASE.json OUT");
  process.exit(2);
}

/** Shows every call of the engine and its result to `observe`, and changes neither. */
function watch(method, observe) {
  const inner = Model.prototype[method];
  Model.prototype[method] = async function watched(options) {
    const result = await inner.call(this, options);
    observe(options, result);
    return result;
  };
}

/** Prompts in the order in which they are sampled, and an entry per update of the optimizer. */
function record(trace) {
  let loss = 0;
  watch("generate", ({ prompts }, completions) => {
    for (const [index, { tokens }] of prompts.entries()) {
      const drawn = completions[index].map((completion) => Array.from(completion.tokens));
      trace.prompts.push({ tokens: Array.from(tokens), completions: drawn });
    }
  });
  watch("accumulate", (_, result) => {
    loss += result.loss;
  });
  watch("step", (_, { gradNorm }) => {
    trace.updates.push({ loss, grad_norm: gradNorm });
    loss = 0;
  });
}

const { train_adapter: trainsAdapter, ...options } = JSON.parse(readFileSync(file, "utf8"));
const trace = { prompts: [], updates: [], steps: [] };
record(trace);
const trainer = new Trainer({
  ...options,
  output_dir: join(out, "run"),
  report_to: ["none"],
  save_steps: 0,
  device: "cpu",
});
try {
  if (trainsAdapter) await trainer.save(join(out, "start"));
  for await (const { metrics, completions } of trainer.run()) trace.steps.push({ metrics, completions });
  await trainer.save(join(out, "end"));
} finally {
  await trainer.dispose();
}
writeFileSync(join(out, "trace.json"), JSON.stringify(trace));
