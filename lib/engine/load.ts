import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { VlmR1Error } from "../errors/index.js";
import type { NativeAddon } from "./native-types.js";

const require = createRequire(import.meta.url);
const PACKAGE_NAME = "vlmr1-native";

let loaded: NativeAddon | undefined;

/** The native addon, loaded once. Throws `ERR_ADDON` with what to do when there is none for this machine. */
export function loadAddon(): NativeAddon {
  loaded ??= require(addonPath()) as NativeAddon;
  return loaded;
}

/** Where the addon lies: `build/Release` of a source checkout, else the prebuilt one for this platform. */
export function addonPath(root: string = packageRoot()): string {
  const { resolve } = require("node-gyp-build") as { resolve(directory: string): string };
  try {
    return resolve(root);
  } catch (cause) {
    throw new VlmR1Error(
      "ERR_ADDON",
      `no native addon for ${process.platform}-${process.arch} (Node ${process.versions.node}) under ${root}`,
      {
        hint:
          "In a source checkout run `npm run build` (needs a C++20 compiler and either cmake or python3 and make); " +
          "in an installed package reinstall it, or check that this platform has prebuilt binaries.",
        cause,
      },
    );
  }
}

/** The folder with this package's package.json, from compiled files and from sources alike. */
export function packageRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && readManifest(manifest).name === PACKAGE_NAME) return folder;
    if (folder === dirname(folder)) {
      throw new VlmR1Error("ERR_ADDON", `the package.json of ${PACKAGE_NAME} is not above ${start}`, {
        hint: "Keep the package's files together; bundlers must leave this package external.",
      });
    }
  }
}

export function packageVersion(): string {
  return readManifest(join(packageRoot(), "package.json")).version ?? "0.0.0";
}

function readManifest(path: string): { name?: string; version?: string } {
  return JSON.parse(readFileSync(path, "utf8")) as { name?: string; version?: string };
}
