import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { root } from "../build/run.mjs";
import { Skip } from "./repository.mjs";

const FOLDER = /vlmr1_(?:kernels|bench)_(avx\w+)(?:\.dir)?\/.*\.o$/;

/**
 * The linker keeps one of several weak copies of a symbol. If a kernel file compiled for AVX-512 held a std:: template's
 * copy, all of the program could get that one and crash on a lesser CPU: such files may define only what carries their
 * instruction set in its name.
 */
export function checkOdr() {
  const objects = ["build/cmake", "build/Release/obj.target"].flatMap(objectsUnder);
  if (objects.length === 0) throw new Skip("no kernels compiled for a special instruction set");
  return objects.flatMap(({ file, isa }) => {
    const { stdout, error } = spawnSync("nm", ["-C", "--defined-only", root + file], { encoding: "utf8" });
    if (error) throw new Skip(`nm: ${error.message}`);
    const symbols = stdout.split("\n").filter((line) => / [WVu] /.test(line) && !line.includes(`${isa}::`));
    return symbols.map((line) => `${file}: weak symbol ${line.replace(/^\S* */, "")}`);
  });
}

function objectsUnder(folder) {
  if (!existsSync(root + folder)) return [];
  return readdirSync(root + folder, { recursive: true })
    .map((path) => ({ file: `${folder}/${path}`, isa: FOLDER.exec(`${folder}/${path}`)?.[1] }))
    .filter(({ isa }) => isa);
}
