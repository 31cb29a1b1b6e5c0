import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { BuildError, root, runQuietly } from "./run.mjs";

/** node-gyp's second "configure" keeps what is compiled; "rebuild" would not. */
export async function buildWithGyp() {
  const nodedir = nodeHeaders();
  const args = [nodeGyp(), "configure", "build", "--release", "--jobs", "max"];
  await runQuietly(process.execPath, nodedir ? [...args, "--nodedir", nodedir] : args);
}

/** npm brings a node-gyp of its own, for those who install the package without its development tools. */
function nodeGyp() {
  const require = createRequire(join(root, "package.json"));
  try {
    return require.resolve("node-gyp/bin/node-gyp.js");
  } catch {
    const ofNpm = process.env.npm_config_node_gyp;
    if (ofNpm && existsSync(ofNpm)) return ofNpm;
    throw new BuildError("no node-gyp: run `npm install -g node-gyp`, or install CMake 3.20 or later");
  }
}

/** The folder whose include/node has Node's own headers; without one node-gyp downloads them. */
function nodeHeaders() {
  const prefixes = [dirname(dirname(process.execPath)), "/usr"];
  return prefixes.find((prefix) => existsSync(join(prefix, "include/node/common.gypi")));
}
