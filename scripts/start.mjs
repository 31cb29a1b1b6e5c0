// `npm start`: builds what is missing, then trains the food example. Options go on to `train`: npm start -- --help
import { main, root } from "./build/run.mjs";
import { setup } from "./setup.mjs";

await main(setup);
if (!process.exitCode) {
  const cli = `${root}dist/cli/main.js`;
  process.argv.splice(1, 1, cli, "train");
  await import(cli);
}
