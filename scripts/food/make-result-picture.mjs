// Draws what a run of the food example did: node scripts/food/make-result-picture.mjs [runs/food] [docs/food-result.svg]
// The reward while training, the held-out scores before and after, and six held-out questions with both answers.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { spread } from "../../dist/eval/before-after.js";
import { boundsOf, COLOURS, chart, picture, readJson, readRewards, smooth, text } from "./svg.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const [run = join(root, "runs/food"), out = join(root, "docs/food-result.svg")] = process.argv.slice(2);

const answerOf = (completion) => /<answer>([\s\S]*?)<\/answer>/.exec(completion)?.[1].trim() ?? completion.trim();

function curve(values, x, y, width, height) {
  const course = smooth(values, Math.max(1, Math.round(values.length / 20)));
  const { ticks, line } = chart({ x, y, width, height, ...boundsOf(course) });
  return [
    text(x - 30, y - 16, "reward while training (3 is perfect)", { weight: 600 }),
    ...ticks,
    line(course, `stroke="${COLOURS.after}" stroke-width="2"`),
    text(x + width, y + height + 18, `${values.length} steps`, { size: 11, fill: COLOURS.faint, anchor: "end" }),
  ];
}

function bars({ before, after }, x, y, width) {
  const rows = [
    ["right name", "name_accuracy"],
    ["right number", "number_accuracy"],
    ["right format", "format_rate"],
  ];
  const room = width - 160;
  return [
    text(x, y - 16, "held-out studios, before and after", { weight: 600 }),
    ...rows.flatMap(([label, key], i) => {
      const top = y + i * 44;
      return [
        text(x, top + 20, label),
        ...[before, after].flatMap((scores, j) => {
          const share = scores[key];
          const fill = j === 0 ? COLOURS.before : COLOURS.after;
          return [
            `<rect x="${x + 96}" y="${top + j * 17}" width="${(share * room).toFixed(1)}" height="14" rx="2" fill="${fill}"/>`,
            text(x + 102 + share * room, top + 12 + j * 17, `${(100 * share).toFixed(0)} %`, { size: 12, fill }),
          ];
        }),
      ];
    }),
  ];
}

/** The first answer to a row in a run's before.json or after.json. */
function completionOf({ answers }, { id }) {
  return answers.find((answer) => answer.id === id && answer.sample === 0).completion;
}

async function card(row, before, after, x, y) {
  const bytes = (await readFile(join(root, "examples/food", row.image))).toString("base64");
  const expected = answerOf(row.conversations[1].value);
  const question = row.conversations[0].value.replace("<image>", "");
  const line = (label, completion, top) => {
    const answer = answerOf(completion);
    const fill = answer === expected ? COLOURS.after : COLOURS.wrong;
    return [
      text(x + 96, top, label, { size: 12, fill: COLOURS.faint }),
      text(x + 146, top, answer, { fill, weight: 600 }),
    ];
  };
  return [
    `<image x="${x}" y="${y}" width="84" height="84" href="data:image/png;base64,${bytes}"/>`,
    text(x + 96, y + 14, question, { size: 12 }),
    text(x + 96, y + 36, "truth", { size: 12, fill: COLOURS.faint }),
    text(x + 146, y + 36, expected),
    ...line("before", completionOf(before, row), y + 57),
    ...line("after", completionOf(after, row), y + 78),
  ];
}

async function main() {
  const [summary, before, after, rows, rewards] = await Promise.all([
    readJson(join(run, "summary.json")),
    readJson(join(run, "before.json")),
    readJson(join(run, "after.json")),
    readJson(join(root, "examples/food/test-quick.json")),
    readRewards(join(run, "metrics.jsonl")),
  ]);
  const [width, height] = [900, 620];
  const cards = await Promise.all(
    spread(6, rows.length).map((index, i) =>
      card(rows[index], before, after, 30 + (i % 2) * 435, 270 + Math.floor(i / 2) * 112),
    ),
  );
  const parts = [
    ...curve(rewards, 60, 62, 350, 130),
    ...bars(summary, 470, 62, 400),
    `<line x1="30" x2="${width - 30}" y1="240" y2="240" stroke="${COLOURS.line}"/>`,
    ...cards.flat(),
  ];
  await mkdir(dirname(out), { recursive: true });
  await writeFile(out, picture(width, height, parts));
  console.log(out);
}

await main();
