import { halfWidth } from "../plain.js";

/** LaTeX that only lays out. */
const LAYOUT =
  /\\(?:left|right|displaystyle|textstyle|limits|bigl|bigr|big|Big)(?![a-z])|\\[!,;: ()[\]](?![a-z])|[$~]|\\quad/g;
const WRAPPED = /\\(?:text|textbf|textrm|textit|mathrm|mathbf|mathit|operatorname|mbox|rm)\s?\{([^{}]{0,60})\}/g;
const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const FRACTIONS: Readonly<Record<string, string>> = {
  "½": "1/2",
  "⅓": "1/3",
  "⅔": "2/3",
  "¼": "1/4",
  "¾": "3/4",
  "⅕": "1/5",
  "⅖": "2/5",
  "⅗": "3/5",
  "⅘": "4/5",
  "⅙": "1/6",
  "⅛": "1/8",
  "⅜": "3/8",
  "⅝": "5/8",
  "⅞": "7/8",
};
const SIGNS: Readonly<Record<string, string>> = {
  "−": "-",
  "–": "-",
  "×": "*",
  "·": "*",
  "⋅": "*",
  "∙": "*",
  "÷": "/",
  "⁄": "/",
  "、": ",",
  π: "\\pi ",
  "√": "\\sqrt ",
  "∞": "\\infty ",
};

/** One spelling for what can be written in several: LaTeX's layout, typographic signs, thousands separators. */
export function normalizeMath(text: string): string {
  return halfWidth(text)
    .replace(/[½⅓⅔¼¾⅕⅖⅗⅘⅙⅛⅜⅝⅞]/g, (sign) => {
      const [top, bottom] = (FRACTIONS[sign] as string).split("/");
      return `\\frac{${top}}{${bottom}}`;
    })
    .replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹]+/g, (run) => `^{${[...run].map((digit) => SUPERSCRIPTS.indexOf(digit)).join("")}}`)
    .replace(/[−–×·⋅∙÷⁄、π√∞]/g, (sign) => SIGNS[sign] as string)
    .replace(/\\[%$#&]/g, (sign) => sign.slice(1))
    .replace(WRAPPED, " $1 ")
    .replace(/(\d)(?:\{,\}|\\,)(?=\d{3}(?!\d))/g, "$1,")
    .replace(LAYOUT, " ")
    .replace(/(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d])/g, (number) => number.replaceAll(",", ""))
    .replace(/\s+/g, " ")
    .trim();
}
