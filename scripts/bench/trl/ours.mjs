// This project's half of the comparison, driven by compare.mjs: for every line on stdin one GRPO step is made and
// one line of JSON answers. Usage: node ours.mjs WORKLOAD.json PRECISION [unshared]
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { grpoStep, makePrompts, openBench } from "../common/step.mjs";

const [file, precision, mode] = process.argv.slice(2);
const workload = JSON.parse(await readFile(file, "utf8"));
const bench = await openBench(workload, { precision });
const answer = (event) => process.stdout.write(`@bench ${JSON.stringify(event)}\n`);

const prompts = await makePrompts(bench, workload);
answer({
  event: "ready",
  program: `vlmr1-native ${bench.engine.isa}`,
  threads: bench.engine.threads,
  parameters: bench.model.info().parameters,
  inputs: prompts.map(({ tokens, images }) => ({
    tokens: createHash("sha256")
      .update([...tokens].join(" "))
      .digest("hex"),
    pixels: images[0].pixelValues.reduce((sum, value) => sum + Math.abs(value), 0) / images[0].pixelValues.length,
  })),
});

let seed = 0;
for await (const _ of createInterface({ input: process.stdin })) {
  const step = await grpoStep(bench, workload, ++seed, { unshared: mode === "unshared" });
  answer({ event: "step", ...step });
}
bench.engine.dispose();
