import { dirname, join } from "node:path/posix";
import { committedFilesLike, read } from "./repository.mjs";

/**
 * A folder may use those below it, never those above or beside it unless `BESIDE` says so:
 * binding → {models, rl, optim, io, image} → nn → ops → {autograd, backend} → core.
 */
const NATIVE_RANK = {
  core: 0,
  autograd: 1,
  backend: 1,
  ops: 2,
  nn: 3,
  models: 4,
  rl: 4,
  optim: 4,
  io: 4,
  image: 4,
  binding: 5,
  bench: 5,
};
const NATIVE_BESIDE = new Set(["autograd → backend", "rl → models", "rl → optim", "models → io", "image → models"]);

/**
 * cli → {trainer, serve} → page → {adapters, engine, losses, rewards, data, processing, report, eval}
 * → {config, files, http, hub} → errors.
 */
const LIB_RANK = {
  errors: 0,
  config: 1,
  files: 1,
  http: 1,
  hub: 1,
  adapters: 2,
  engine: 2,
  losses: 2,
  rewards: 2,
  data: 2,
  processing: 2,
  report: 2,
  eval: 2,
  page: 3,
  serve: 4,
  trainer: 4,
  cli: 5,
};

export function checkDependencies() {
  return [...checkNative(), ...checkLib()];
}

function checkNative() {
  const files = committedFilesLike(/^native\/.*\.(cpp|h|cu|cuh)$/).filter((file) => !file.startsWith("native/tests/"));
  return files.flatMap((file) => {
    const text = read(file);
    const from = file.split("/")[1];
    const local = [...text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)].map((match) => match[1]);
    const system = [...text.matchAll(/^\s*#\s*include\s+[<"]([^>"]+)[>"]/gm)].map((match) => match[1]);
    const directions = local
      .filter((path) => path.includes("/"))
      .flatMap((path) => direction(file, from, path.split("/")[0], NATIVE_RANK, NATIVE_BESIDE));
    return [
      ...directions,
      ...local.flatMap((path) => inside(file, path)),
      ...system.flatMap((path) => tied(file, path)),
    ];
  });
}

/** The inside of a back end is its own affair: others know backend/backend.h only. */
function inside(file, path) {
  const backend = /^backend\/(\w+)\//.exec(path)?.[1];
  if (!backend || file.startsWith(`native/backend/${backend}/`)) return [];
  return [`${file}: includes ${path}, which only native/backend/${backend} may`];
}

function tied(file, header) {
  if (/^(cuda|cublas|nccl|cooperative_groups)/.test(header) && !file.startsWith("native/backend/cuda/")) {
    return [`${file}: includes ${header}, which only native/backend/cuda may`];
  }
  if (/^(napi|node_api|js_native_api)/.test(header) && !file.startsWith("native/binding/")) {
    return [`${file}: includes ${header}, which only native/binding may`];
  }
  return [];
}

function checkLib() {
  const problems = [];
  const beside = new Map();
  for (const file of committedFilesLike(/^lib\/[^/]+\/.*\.ts$/)) {
    const from = file.split("/")[1];
    for (const path of relativeImports(read(file))) {
      const [top, to, ...rest] = join(dirname(file), path).split("/");
      if (top !== "lib" || rest.length === 0 || to === from) continue;
      if (LIB_RANK[from] === LIB_RANK[to]) beside.set(`${from} → ${to}`, file);
      else problems.push(...direction(file, from, to, LIB_RANK, new Set()));
    }
  }
  return [...problems, ...circles(beside)];
}

/** Neighbours may use each other, in one direction. */
function circles(beside) {
  return [...beside].flatMap(([edge, file]) => {
    const [from, to] = edge.split(" → ");
    return from < to && beside.has(`${to} → ${from}`) ? [`${file}: lib/${from} and lib/${to} use each other`] : [];
  });
}

function relativeImports(text) {
  return [...text.matchAll(/\b(?:from|import)\s*\(?\s*"(\.[^"]*)"/g)].map((match) => match[1]);
}

function direction(file, from, to, rank, beside) {
  if (from === to || beside.has(`${from} → ${to}`)) return [];
  for (const folder of [from, to]) if (!(folder in rank)) return [`${file}: no rank for folder ${folder}`];
  return rank[to] < rank[from] ? [] : [`${file}: ${from} may not use ${to}`];
}
