import { existsSync, lstatSync, readFileSync } from "node:fs";
import { BuildError, root, runQuietly, step } from "./run.mjs";

/** `npm ci` unless node_modules holds what package-lock.json says. */
export async function installDependencies() {
  requireNode();
  if (isInstalled()) return;
  if (lstatSync(`${root}node_modules`, { throwIfNoEntry: false })?.isSymbolicLink()) {
    // npm would empty what it leads to, which another checkout may be using.
    throw new BuildError("node_modules is a link, and what it leads to is not what package-lock.json asks for");
  }
  await step("npm packages: npm ci", () =>
    // No package needs its install script here, and this one's is the native build, which comes next.
    runQuietly("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]),
  );
}

function requireNode() {
  const wanted = JSON.parse(readFileSync(`${root}package.json`, "utf8")).engines.node.replace(">=", "");
  if (wanted.localeCompare(process.versions.node, "en", { numeric: true }) > 0) {
    throw new BuildError(`this is Node ${process.versions.node}; vlmr1-native needs ${wanted} or later`);
  }
}

function isInstalled() {
  const installed = readLock("node_modules/.package-lock.json");
  if (!installed) return false;
  return Object.entries(readLock("package-lock.json")).every(([path, wanted]) => {
    const found = installed[path];
    // Optional packages are those of other platforms, mostly.
    return path === "" || (found ? found.version === wanted.version : wanted.optional);
  });
}

function readLock(file) {
  return existsSync(root + file) ? JSON.parse(readFileSync(root + file, "utf8")).packages : null;
}
