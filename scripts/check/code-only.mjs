// One pattern for what is not code, tried at every position; the first alternative that fits wins.
const NOT_CODE = [
  String.raw`\/\/[^\n]*`, // line comment
  String.raw`\/\*[^]*?\*\/`, // block comment
  String.raw`\bR"([^(\s]*)\([^]*?\)\1"`, // C++ raw string
  String.raw`"(?:\\.|[^"\\\n])*"`,
  String.raw`(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'`, // not the digit separator of 1'000
  String.raw`(?<=[=(,:!&|?{};\n]\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*`, // regular expression
].join("|");

/**
 * The code with comments, strings and regular expressions blanked out; lines stay where they are. Template literals
 * are blanked as a whole, code in their placeholders too.
 */
export function codeOnly(text) {
  const pattern = new RegExp(`${NOT_CODE}|\`(?:\\\\[^]|[^\`\\\\])*\``, "g");
  return text.replace(pattern, (match) => match.replace(/[^\n]/g, " "));
}
