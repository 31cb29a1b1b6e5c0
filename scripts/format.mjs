// `npm run format`: what `npm run check` wants of layout, put right. Usage: node scripts/format.mjs [folder or file …]
import { run } from "./build/run.mjs";
import { clangFormat, nativeFiles } from "./check/clang-format.mjs";

const paths = process.argv.slice(2);

const scripts = paths.filter((path) => !path.startsWith("native"));
if (paths.length === 0 || scripts.length > 0) {
  await run(process.execPath, ["node_modules/@biomejs/biome/bin/biome", "check", "--write", ...scripts]);
}
const native = nativeFiles(paths);
try {
  if (native.length > 0) await run(clangFormat(), ["-i", ...native]);
} catch (error) {
  if (error.name !== "Skip") throw error;
  console.log(`native left alone: ${error.message}`);
}
