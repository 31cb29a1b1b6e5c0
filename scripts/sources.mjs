// The one list of native sources: CMakeLists.txt and binding.gyp both read it, so a new file needs no edit anywhere.
// Usage: node scripts/sources.mjs core|kernels|binding|tests|bench|cuda   (paths from the repository root, one a line)
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

const KERNELS = "native/backend/cpu/kernels/";
const BENCH = "native/bench/";
const OUTSIDE_CORE = ["native/tests/", "native/binding/", "native/backend/cuda/", KERNELS, BENCH];
/** CMake adds these by itself: once per instruction set, where the library is found, and as a program of its own. */
const BENCH_PARTS = [`${BENCH}peak_loops.cpp`, `${BENCH}libraries/`, `${BENCH}torch/`];

const GROUPS = {
  /** Everything that needs neither Node nor a special instruction set. */
  core: (file) => file.endsWith(".cpp") && !OUTSIDE_CORE.some((folder) => file.startsWith(folder)),
  /** Compiled once per instruction set. */
  kernels: (file) => file.endsWith(".cpp") && file.startsWith(KERNELS),
  /** The Node-API module. */
  binding: (file) => file.endsWith(".cpp") && file.startsWith("native/binding/"),
  /** The native test program. */
  tests: (file) => file.endsWith(".cpp") && file.startsWith("native/tests/"),
  /** The native benchmark program; CMake alone builds it. */
  bench: (file) =>
    file.endsWith(".cpp") && file.startsWith(BENCH) && !BENCH_PARTS.some((part) => file.startsWith(part)),
  cuda: (file) => file.endsWith(".cu") && file.startsWith("native/backend/cuda/"),
};

/** All files under a folder, sorted, so that both builds see one order. */
export function filesUnder(folder) {
  if (!existsSync(root + folder)) return [];
  return readdirSync(root + folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(root.length))
    .sort();
}

/** @param {keyof typeof GROUPS} group */
export function sources(group) {
  return filesUnder("native").filter(GROUPS[group]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const group = process.argv[2];
  if (!(group in GROUPS)) {
    console.error(`usage: node scripts/sources.mjs ${Object.keys(GROUPS).join("|")}`);
    process.exit(2);
  }
  for (const file of sources(group)) console.log(file);
}
