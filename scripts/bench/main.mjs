// How fast the engine is, as shares of what the machine can do and as ratios. See README.md beside it.
// Usage: npm run bench -- [SUITE …] [options]   (--help lists them)
import { main } from "../build/run.mjs";
import { machine } from "./common/numbers.mjs";
import { optionsOf, readCommandLine, UsageError, usage } from "./common/options.mjs";
import { Others } from "./common/others.mjs";
import * as kernels from "./kernels.mjs";
import * as phases from "./phases.mjs";
import * as scaling from "./scaling.mjs";
import * as serve from "./serve.mjs";
import * as tree from "./tree.mjs";

/** Each has: about; defaults of its options, and those of --quick over them; run(options); print(result); and may say what it is lacking. */
const SUITES = { kernels, phases, tree, scaling, serve };

await main(async () => {
  try {
    return await bench(readCommandLine(process.argv.slice(2), SUITES));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\`npm run bench -- --help\` lists suites and options.`);
    return 2;
  }
});

async function bench(command) {
  if (command.help) {
    console.log(usage(SUITES));
    return;
  }
  const results = { machine: machine() };
  if (!command.json) console.log(`${results.machine.cpu}, ${results.machine.cores} cores`);
  for (const name of command.names) {
    const suite = SUITES[name];
    const lacking = command.isSelection ? suite.lacking?.() : undefined;
    if (lacking) {
      console.error(`${name}: left out, ${lacking}`);
      continue;
    }
    if (!command.json) console.log(`\n== ${name}: ${suite.about}`);
    const others = new Others([]);
    const options = optionsOf(suite, command);
    const result = await suite.run(options);
    results[name] = { options, others: others.cores(), ...result };
    if (!command.json) print(suite, results[name]);
  }
  if (command.json) console.log(JSON.stringify(results, null, 2));
}

function print(suite, result) {
  suite.print(result);
  if (result.others !== undefined) console.log(`Other programs: ${result.others.toFixed(2)} cores`);
}
