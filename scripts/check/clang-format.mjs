import { spawnSync } from "node:child_process";
import { committedFilesLike, problemsOf, Skip } from "./repository.mjs";

/** Other versions break lines elsewhere. */
const VERSION = 14;

/** @param {string[]} under  folders or files; none: all */
export function nativeFiles(under = []) {
  const files = committedFilesLike(/^native\/.*\.(cpp|h|cu|cuh)$/);
  return under.length === 0 ? files : files.filter((file) => under.some((folder) => file.startsWith(folder)));
}

/** The clang-format of the version that this code is formatted with. */
export function clangFormat() {
  for (const command of [`clang-format-${VERSION}`, "clang-format"]) {
    const { stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
    if (stdout && Number(/version (\d+)/.exec(stdout)?.[1]) === VERSION) return command;
  }
  throw new Skip(`no clang-format ${VERSION} on the PATH`);
}

export function checkClangFormat() {
  const lines = problemsOf(clangFormat(), ["--dry-run", "-Werror", ...nativeFiles()]);
  const places = new Map();
  for (const [, file, line] of lines.join("\n").matchAll(/^(\S+):(\d+):\d+: error:/gm)) {
    places.set(file, [...(places.get(file) ?? []), line]);
  }
  return [...places].map(
    ([file, at]) => `${file}: lines ${[...new Set(at)].join(", ")} (\`npm run format\` puts it right)`,
  );
}
