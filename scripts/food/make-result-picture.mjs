// Draws what a run of the food example did: node scripts/food/make-result-picture.mjs [runs/food] [docs/food-result.svg]
// The reward while training, the held-out scores before and after, and six held-out questions with both answers.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { spread } from "../../dist/eval/before-after.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const [run = join(root, "runs/food"), out = join(root, "docs/food-result.svg")] = process.argv.slice(2);

const COLOURS = {
  text: "#1f2328",
  faint: "#656d76",
  line: "#d0d7de",
  before: "#9aa4af",
  after: "#1a7f37",
  wrong: "#b35900",
};
const FONT = `font-family="-apple-system,'Segoe UI',Helvetica,Arial,'PingFang SC','Noto Sans CJK SC',sans-serif"`;

const readJson = async (path) => JSON.parse(await readFile(path, "utf8"));
const escapeXml = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const text = (x, y, content, { size = 13, fill = COLOURS.text, weight = 400, anchor = "start" } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" fill="${fill}" font-weight="${weight}" text-anchor="${anchor}">${escapeXml(content)}</text>`;

const answerOf = (completion) => /<answer>([\s\S]*?)<\/answer>/.exec(completion)?.[1].trim() ?? completion.trim();

/** Mean over a window, so that the course shows through the noise of the batches. */
function smooth(values, window) {
  return values.map((_, i) => {
    const part = values.slice(Math.max(0, i - window + 1), i + 1);
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

function curve(metrics, x, y, width, height) {
  const values = metrics.map(({ reward }) => reward).filter(Number.isFinite);
  const course = smooth(values, Math.max(1, Math.round(values.length / 20)));
  const low = Math.floor(Math.min(...course) * 5) / 5;
  const high = Math.ceil(Math.max(...course) * 5) / 5;
  const at = (value, i) =>
    `${(x + (i / (course.length - 1)) * width).toFixed(1)},${(y + height - ((value - low) / (high - low)) * height).toFixed(1)}`;
  const ticks = [low, (low + high) / 2, high].flatMap((value) => {
    const tick = y + height - ((value - low) / (high - low)) * height;
    return [
      `<line x1="${x}" x2="${x + width}" y1="${tick}" y2="${tick}" stroke="${COLOURS.line}"/>`,
      text(x - 8, tick + 4, value.toFixed(1), { size: 11, fill: COLOURS.faint, anchor: "end" }),
    ];
  });
  return [
    text(x - 30, y - 16, "reward while training (3 is perfect)", { weight: 600 }),
    ...ticks,
    `<polyline points="${course.map(at).join(" ")}" fill="none" stroke="${COLOURS.after}" stroke-width="2"/>`,
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

async function card(row, before, after, x, y) {
  const picture = (await readFile(join(root, "examples/food", row.image))).toString("base64");
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
    `<image x="${x}" y="${y}" width="84" height="84" href="data:image/png;base64,${picture}"/>`,
    text(x + 96, y + 14, question, { size: 12 }),
    text(x + 96, y + 36, "truth", { size: 12, fill: COLOURS.faint }),
    text(x + 146, y + 36, expected),
    ...line("before", before.answers[row.id].completion, y + 57),
    ...line("after", after.answers[row.id].completion, y + 78),
  ];
}

async function main() {
  const [summary, before, after, rows, log] = await Promise.all([
    readJson(join(run, "summary.json")),
    readJson(join(run, "before.json")),
    readJson(join(run, "after.json")),
    readJson(join(root, "examples/food/test-quick.json")),
    readFile(join(run, "metrics.jsonl"), "utf8"),
  ]);
  const metrics = log
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const [width, height] = [900, 620];
  const cards = await Promise.all(
    spread(6, rows.length).map((index, i) =>
      card(rows[index], before, after, 30 + (i % 2) * 435, 270 + Math.floor(i / 2) * 112),
    ),
  );
  const svg = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ${FONT}>`,
    `<rect width="${width}" height="${height}" rx="8" fill="#ffffff" stroke="${COLOURS.line}"/>`,
    ...curve(metrics, 60, 62, 350, 130),
    ...bars(summary, 470, 62, 400),
    `<line x1="30" x2="${width - 30}" y1="240" y2="240" stroke="${COLOURS.line}"/>`,
    ...cards.flat(),
    "</svg>",
  ];
  await mkdir(dirname(out), { recursive: true });
  await writeFile(out, `${svg.join("\n")}\n`);
  console.log(out);
}

await main();
