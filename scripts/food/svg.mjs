// What the pictures of results are drawn with.
import { readFile } from "node:fs/promises";

export const COLOURS = {
  text: "#1f2328",
  faint: "#656d76",
  line: "#d0d7de",
  before: "#9aa4af",
  after: "#1a7f37",
  wrong: "#b35900",
};
export const FONT = `font-family="-apple-system,'Segoe UI',Helvetica,Arial,'PingFang SC','Noto Sans CJK SC',sans-serif"`;

const escapeXml = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

export const text = (x, y, content, { size = 13, fill = COLOURS.text, weight = 400, anchor = "start" } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" fill="${fill}" font-weight="${weight}" text-anchor="${anchor}">${escapeXml(content)}</text>`;

/** A picture of its own, with a white ground. */
export const picture = (width, height, parts) =>
  `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ${FONT}>`,
    `<rect width="${width}" height="${height}" rx="8" fill="#ffffff" stroke="${COLOURS.line}"/>`,
    ...parts,
    "</svg>",
  ].join("\n")}\n`;

/** Mean over a window, so that the course shows through the noise of the batches. */
export function smooth(values, window) {
  return values.map((_, i) => {
    const part = values.slice(Math.max(0, i - window + 1), i + 1);
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

/** Where curves over the same steps are drawn: `line(values, style)` for each, and `ticks` for the ground. */
export function chart({ x, y, width, height, low, high, digits = 1 }) {
  const level = (value) => y + height - ((value - low) / (high - low)) * height;
  const ticks = [low, (low + high) / 2, high].flatMap((value) => [
    `<line x1="${x}" x2="${x + width}" y1="${level(value)}" y2="${level(value)}" stroke="${COLOURS.line}"/>`,
    text(x - 8, level(value) + 4, value.toFixed(digits), { size: 11, fill: COLOURS.faint, anchor: "end" }),
  ]);
  const line = (values, style) => {
    const points = values.map((v, i) => `${(x + (i / (values.length - 1)) * width).toFixed(1)},${level(v).toFixed(1)}`);
    return `<polyline points="${points.join(" ")}" fill="none" ${style}/>`;
  };
  return { level, ticks, line };
}

/** Bounds of what is shown, on fifths. */
export const boundsOf = (values) => ({
  low: Math.floor(Math.min(...values) * 5) / 5,
  high: Math.ceil(Math.max(...values) * 5) / 5,
});

export const readJson = async (path) => JSON.parse(await readFile(path, "utf8"));

/** The rewards of a run's steps. */
export async function readRewards(path) {
  const lines = (await readFile(path, "utf8")).trim().split("\n");
  return lines.map((line) => JSON.parse(line).reward).filter(Number.isFinite);
}
