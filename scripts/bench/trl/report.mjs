import { gib, machine, median, ratios, table } from "../common/numbers.mjs";
import { PHASES } from "./rounds.mjs";
import { START, shapeOf } from "./settings.mjs";

const COLUMNS = [...PHASES, "step", "processor"];
/** Cores that other programs may use before the table says that it is worth nothing. */
const BUSY = 0.15;

/** All numbers of a comparison: medians, and the ratios within rounds to the side that each is compared with. */
export function summary(workload, sides, infos, rounds) {
  const of = (side, column) => rounds.map(({ steps }) => steps[side].seconds[column]);
  const each = (value) => Object.fromEntries(COLUMNS.map((column) => [column, value(column)]));
  const { promptTokens } = rounds[0].steps[0];
  const busy = rounds.map(({ others }) => others);
  return {
    shape: { ...shapeOf(workload), promptTokens },
    conditions: { ...machine(), rounds: rounds.length, othersMedian: median(busy), othersMost: Math.max(...busy) },
    results: sides.map(({ name, precision, own, settings, from, base = 0 }, i) => ({
      name,
      precision: own ?? precision,
      settings,
      settingsFrom: from,
      program: infos[i].program,
      base,
      seconds: each((column) => median(of(i, column))),
      timesOurs: each((column) => ratios(of(i, column), of(base, column))),
      peakBytes: Math.max(...rounds.map(({ steps }) => steps[i].peak)),
      loadedBytes: infos[i].loadedBytes,
    })),
    rounds: rounds.map((one) => one.steps.map(({ seconds, others }) => ({ ...seconds, others }))),
  };
}

const spreadOf = ({ median: middle, min, max }) => `${middle.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;

/** Settings beside those that all have. */
function special(settings = {}) {
  const other = Object.entries(settings).filter(([name, value]) => name !== "malloc" && START[name] !== value);
  return other.length === 0 ? "" : JSON.stringify(Object.fromEntries(other));
}

export function printRow({ shape, conditions, results }) {
  console.log(`\n${heading(shape, conditions, results)}\n`);
  const rows = [["seconds", ...COLUMNS, "× ours (least–most)", "peak memory", "÷ ours"]];
  for (const [i, { name, settings, seconds, timesOurs, peakBytes, base }] of results.entries()) {
    const own = i === base;
    rows.push([
      [name, special(settings)].filter(Boolean).join(", "),
      ...COLUMNS.map((column) => seconds[column].toFixed(3)),
      own ? "" : spreadOf(timesOurs.step),
      gib(peakBytes),
      own ? "" : (peakBytes / results[base].peakBytes).toFixed(2),
    ]);
    if (own) continue;
    const times = COLUMNS.map((column) => timesOurs[column].median.toFixed(2));
    rows.push([`  × ours, ${results[base].precision}`, ...times, "", "", ""]);
  }
  console.log(table(rows));
}

function heading(shape, conditions, results) {
  const lines = [
    `${shape.preset} (${(shape.parameters / 1e6).toFixed(1)} M parameters), ${shape.prompts} prompts of ${shape.promptTokens} tokens` +
      ` with a picture of ${shape.picture}×${shape.picture}, G = ${shape.generations}, R = ${shape.completion}`,
    [...new Set(results.map(({ program }) => program))].join("; "),
    `${conditions.cpu}, ${shape.threads} threads; medians of ${conditions.rounds} rounds`,
    `other programs: ${conditions.othersMedian?.toFixed(2) ?? "?"} cores, at most ${conditions.othersMost.toFixed(2)}`,
  ];
  if (conditions.othersMost > BUSY) {
    lines.push("That is too much to compare anything: torch suffers more from busy cores. Repeat on a quiet machine.");
  }
  return lines.join("\n");
}

/** A line for every row of a matrix. */
export function printMatrix(rows) {
  const head = ["model", "prompt", "TRL", "ours", "seconds", "TRL's", "× ours (least–most)", "generation", "train"];
  const lines = [[...head, "peak memory", "TRL's", "÷ ours", "others"]];
  for (const { shape, conditions, results } of rows) {
    for (const { precision, base, seconds, timesOurs, peakBytes } of results.filter(({ settings }) => settings)) {
      const ours = results[base];
      lines.push([
        `${shape.preset}, ${(shape.parameters / 1e6).toFixed(1)} M`,
        String(shape.promptTokens),
        precision,
        ours.precision,
        ours.seconds.step.toFixed(3),
        seconds.step.toFixed(3),
        spreadOf(timesOurs.step),
        timesOurs.generation.median.toFixed(2),
        timesOurs.train.median.toFixed(2),
        gib(ours.peakBytes),
        gib(peakBytes),
        (peakBytes / ours.peakBytes).toFixed(2),
        conditions.othersMost?.toFixed(2) ?? "?",
      ]);
    }
  }
  const programs = new Set(rows.flatMap(({ results }) => results.map(({ program }) => program)));
  console.log(`\n${[...programs].join("; ")}\n${rows[0].conditions.cpu}, ${rows[0].shape.threads} threads\n`);
  console.log(table(lines));
}

export function printTried({ change, ratio, least, most, error }) {
  const came = error === undefined ? spreadOf({ median: ratio, min: least, max: most }) : reason(error);
  console.error(`  ${JSON.stringify(change)}: ${came}`);
}

/** Python's last line says what the matter was. */
const reason = (error) => `fails: ${error.trim().split("\n").at(-1)}`;

export function printSearch(rows) {
  for (const [key, { settings }] of Object.entries(rows)) console.log(`${key}: ${JSON.stringify(settings)}`);
}
