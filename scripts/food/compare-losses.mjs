// Trains the food example with every loss, and draws the rewards of all in one picture:
// node scripts/food/compare-losses.mjs [--steps 200] [--runs runs/losses] [--out docs/food-losses.svg]
// A run that is finished is not made again, one that was cut goes on; so this can be interrupted. Prints a table.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { boundsOf, COLOURS, chart, picture, readJson, readRewards, smooth, text } from "./svg.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { values: options } = parseArgs({
  options: {
    steps: { type: "string", default: "200" },
    runs: { type: "string", default: join(root, "runs/losses") },
    out: { type: "string", default: join(root, "docs/food-losses.svg") },
  },
});

/** Two updates of each rollout: with one, new and old policy are equal, and most losses have the same gradient. */
const COMMON = ["--num-iterations", "2", "--max-steps", options.steps, "--save-steps", "50", "--learning-rate", "1e-4"];
const SEQUENCE = ["--importance-sampling-level", "sequence"];
// Ranges as the papers have them: ratios of whole completions are nearer to 1 than those of tokens.
const GSPO = [...SEQUENCE, "--epsilon", "0.003", "--epsilon-high", "0.004"];
const LOSSES = [
  { name: "grpo", flags: [], colour: "#000000" },
  { name: "gspo", flags: ["--loss-type", "grpo", ...GSPO], colour: "#7f7f7f" },
  { name: "bnpo", flags: [], colour: "#e69f00" },
  { name: "dr_grpo", flags: [], colour: "#56b4e9" },
  { name: "dapo", flags: ["--epsilon-high", "0.28"], colour: "#009e73" },
  { name: "cispo", flags: [], colour: "#b8a800" },
  { name: "sapo", flags: [], colour: "#0072b2" },
  { name: "luspo", flags: GSPO, colour: "#d55e00" },
  { name: "vespo", flags: [], colour: "#cc79a7" },
];

async function train({ name, flags }) {
  const folder = join(options.runs, name);
  const status = existsSync(join(folder, "run.json")) ? (await readJson(join(folder, "run.json"))).status : "none";
  const loss = flags.includes("--loss-type") ? [] : ["--loss-type", name];
  const resume = status === "none" ? [] : ["--resume"];
  const command = ["dist/cli/main.js", "train", "--output-dir", folder, ...COMMON, ...loss, ...flags, ...resume];
  if (!existsSync(join(folder, "summary.json"))) {
    console.error(`\n${name}: node ${command.join(" ")}`);
    const { status: code } = spawnSync(process.execPath, command, {
      cwd: root,
      stdio: ["ignore", "ignore", "inherit"],
    });
    if (code !== 0) process.exit(code ?? 1);
  }
  return {
    rewards: await readRewards(join(folder, "metrics.jsonl")),
    summary: await readJson(join(folder, "summary.json")),
  };
}

function draw(runs) {
  const [width, height] = [900, 470];
  const courses = runs.map(({ rewards }) => smooth(rewards, Math.max(1, Math.round(rewards.length / 8))));
  const ground = { x: 60, y: 62, width: 660, height: 350, ...boundsOf(courses.flat()) };
  const { ticks, line } = chart(ground);
  const ranked = LOSSES.map((loss, i) => ({ ...loss, last: courses[i].at(-1) })).sort((a, b) => b.last - a.last);
  return picture(width, height, [
    text(30, 36, "the food example with every loss: reward while training (3 is perfect)", { weight: 600 }),
    ...ticks,
    ...LOSSES.map(({ colour }, i) => line(courses[i], `stroke="${colour}" stroke-width="1.8"`)),
    text(720, 432, `${options.steps} steps of two updates`, { size: 11, fill: COLOURS.faint, anchor: "end" }),
    ...ranked.flatMap(({ name, colour, last }, i) => [
      `<rect x="740" y="${66 + i * 26}" width="18" height="4" fill="${colour}"/>`,
      text(766, 72 + i * 26, `${name}  ${last.toFixed(2)}`),
    ]),
  ]);
}

function table(runs) {
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  const rows = runs.map(({ summary: { before, after } }, i) =>
    [LOSSES[i].name, `${before.reward.toFixed(3)} → ${after.reward.toFixed(3)}`]
      .concat([percent(after.name_accuracy), percent(after.number_accuracy)])
      .join(" | "),
  );
  const head = ["| loss | held-out reward | right name | right number |", "|---|---|---|---|"];
  return [...head, ...rows.map((row) => `| ${row} |`)];
}

const runs = [];
for (const loss of LOSSES) runs.push(await train(loss));
await writeFile(options.out, draw(runs));
console.log([...table(runs), "", options.out].join("\n"));
