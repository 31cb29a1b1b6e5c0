// For every preset of init-model a folder DIR/<preset> with config.json, as init-model writes it, and what the engine
// makes of it: description.json. No weights are written. Needs the built program.
// Usage: node describe-presets.mjs DIR
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Engine, prepareModelFolder, presets } from "../../../dist/index.js";
import { makeQwenTokenizer } from "../../make-qwen-tokenizer.mjs";

const [, , directory] = process.argv;
if (directory === undefined) {
  console.error("usage: node describe-presets.mjs DIR");
  process.exit(2);
}
mkdirSync(directory, { recursive: true });
const tokenizer = join(directory, "tokenizer");
makeQwenTokenizer(tokenizer);
const engine = await Engine.open({ device: "cpu" });
for (const [name, { config }] of Object.entries(presets)) {
  const out = join(directory, name);
  const description = engine.describeModel(await prepareModelFolder({ config, dtype: "bf16", tokenizer, out }));
  writeFileSync(join(out, "description.json"), JSON.stringify(description));
  console.log(name);
}
engine.dispose();
