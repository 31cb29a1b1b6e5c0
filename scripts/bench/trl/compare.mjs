// One GRPO step of this project against one of TRL on this machine's CPU. See README.md beside it.
// Usage: node scripts/bench/trl/compare.mjs --python PATH [options]
import { makeWorkload } from "../common/workload.mjs";
import { readOptions, shapes } from "./options.mjs";
import { printMatrix, printRow, printSearch, printTried, summary } from "./report.mjs";
import { oursBeside, Rounds, ready, trlSide } from "./rounds.mjs";
import { search } from "./search.mjs";
import { foundSettings, PRECISIONS, rowKey, START } from "./settings.mjs";
import { Store } from "./store.mjs";

const options = optionsOrEnd();
if (options.search) await searchAll();
else if (options.matrix) await compareAll();
else await compareOne();

function optionsOrEnd() {
  try {
    return readOptions();
  } catch (error) {
    console.error(error.message);
    process.exit(2);
  }
}

/** `body` with a model and pictures that are gone afterwards. */
async function withWorkload(shape, body) {
  const workload = await makeWorkload(shape);
  try {
    return await body(workload);
  } finally {
    await workload.remove();
  }
}

/** A row for each shape and precision; those that the file has already are left. */
async function eachRow(file, make) {
  const store = await Store.open(file);
  for (const shape of shapes(options)) {
    for (const precision of options.precision) {
      const key = rowKey(shape, precision);
      if (store.has(key, shape)) continue;
      if (!options.json) console.error(`\n${key}`);
      await store.put(key, await withWorkload(shape, (workload) => make(workload, precision)));
    }
  }
  return store.rows;
}

async function searchAll() {
  const note = options.json ? () => {} : printTried;
  const rows = await eachRow(options.search, (workload, precision) => search(workload, precision, options, note));
  if (options.json) console.log(JSON.stringify(rows, null, 2));
  else printSearch(rows);
}

async function compareAll() {
  const rows = await eachRow(options.matrix, (workload, precision) => compare(workload, [precision]));
  if (options.json) console.log(JSON.stringify(rows, null, 2));
  else printMatrix(Object.values(rows));
}

async function compareOne() {
  const [shape] = shapes(options);
  const row = await withWorkload(shape, (workload) => compare(workload, options.precision));
  if (options.json) console.log(JSON.stringify(row, null, 2));
  else printRow(row);
}

async function compare(workload, precisions) {
  const found = options.found ? (await Store.open(options.found)).rows : {};
  const sides = startSides(workload, precisions, found);
  try {
    const infos = await ready(sides);
    const rounds = await new Rounds(sides, options).all(noteRound);
    return summary(workload, sides, infos, rounds);
  } finally {
    for (const { worker } of sides) worker.end();
  }
}

/** Ours before TRL's; each of TRL's is compared with ours of its precision. */
function startSides(workload, precisions, found) {
  const sides = [];
  for (const precision of precisions) {
    if (sides.some(({ own }) => own === PRECISIONS[precision].ours)) continue;
    const base = sides.length;
    sides.push({ ...oursBeside(workload, precision), base });
    if (options.unshared) sides.push({ ...oursBeside(workload, precision, { unshared: true }), base });
  }
  for (const precision of precisions) {
    const base = sides.findIndex(({ own }) => own === PRECISIONS[precision].ours);
    const { from, settings } = foundSettings(found, workload, precision) ?? { settings: START };
    for (const change of changes(from)) {
      sides.push({ ...trlSide(workload, options.python, precision, { ...settings, ...change }, base), from });
    }
  }
  return sides;
}

/** What the options change about TRL's settings. Where nothing was searched both ways to allocate are looked at. */
function changes(from) {
  const mallocs = options.malloc ?? (from || options.matrix ? [undefined] : ["tuned", "default"]);
  return mallocs.flatMap((malloc) => options.trl.map((change) => ({ ...(malloc && { malloc }), ...change })));
}

function noteRound(rounds) {
  if (options.json) return;
  const { steps, others } = rounds.at(-1);
  const times = steps.map(({ seconds }) => seconds.step.toFixed(2)).join("  ");
  console.error(`round ${rounds.length}: ${times} s; other programs: ${others?.toFixed(2) ?? "?"} cores`);
}
