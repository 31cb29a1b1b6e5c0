import { codeOnly } from "./code-only.mjs";
import { committedFilesLike, read } from "./repository.mjs";

const MAX_LINES = 60;

/** A function that outgrows this does two things. Braces are counted, not parsed: it may miss one, it invents none. */
export function checkFunctions() {
  const braced = committedFilesLike(/^(lib|test|scripts|native)\/.*\.(ts|mjs|cpp|h|cu|cuh)$/).flatMap((file) =>
    longBraced(codeOnly(read(file))).map((found) => ({ file, ...found })),
  );
  const python = committedFilesLike(/\.py$/).flatMap((file) =>
    longPython(read(file).split("\n")).map((found) => ({ file, ...found })),
  );
  return [...braced, ...python].map(({ file, line, lines }) => `${file}:${line}: ${lines} lines, at most ${MAX_LINES}`);
}

function longBraced(code) {
  const found = [];
  const open = [];
  let [line, depth, header] = [1, 0, ""];
  for (const char of code) {
    if (char === "\n") line++;
    if (char === "(") depth++;
    if (char === ")") depth--;
    if (char === "{") {
      open.push({ line, depth, isFunction: opensFunction(header.trim()) });
      [header, depth] = ["", 0];
    } else if (char === "}") {
      const block = open.pop();
      if (block?.isFunction && line - block.line >= MAX_LINES) {
        found.push({ line: block.line, lines: line - block.line + 1 });
      }
      [header, depth] = ["", block?.depth ?? 0];
    } else {
      header = char === ";" && depth === 0 ? "" : header + char;
    }
  }
  return found;
}

/** Whether the text before a `{` is a function's head; a suite of tests is none. */
function opensFunction(header) {
  if (/^(\}?\s*else\b|if|for|while|switch|catch|do|describe\w*|namespace|class|struct|enum)\b/.test(header))
    return false;
  return /=>$|\)(\s*(const|noexcept|override|final|mutable))*(\s*(->|:)[^=]*)?$/.test(header);
}

function longPython(lines) {
  return lines.flatMap((text, start) => {
    const indent = /^( *)(?:async )?def /.exec(text)?.[1].length;
    if (indent === undefined) return [];
    const body = lines.slice(start + 1);
    const length = body.findIndex((other) => other.trim() && other.search(/[^ )\]]/) <= indent);
    const lineCount =
      1 +
      body
        .slice(0, length < 0 ? undefined : length)
        .join("\n")
        .trimEnd()
        .split("\n").length;
    return lineCount > MAX_LINES ? [{ line: start + 1, lines: lineCount }] : [];
  });
}
