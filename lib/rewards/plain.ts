/**
 * Full-width forms as ASCII ("Ａ" → "A", "（" → "(", "１" → "1"), an ideographic space as a space. A UTF-16 unit
 * becomes one unit, so that positions stay.
 */
export function halfWidth(text: string): string {
  return text.replace(/[\uff01-\uff5e\u3000]/g, (unit) => {
    const code = unit.charCodeAt(0);
    return code === 0x3000 ? " " : String.fromCharCode(code - 0xfee0);
  });
}

/** What stands in the last `\boxed{…}`; undefined where there is none, or it does not close. */
export function lastBoxed(text: string): string | undefined {
  const mark = "\\boxed{";
  const start = text.lastIndexOf(mark);
  if (start < 0) return undefined;
  let depth = 1;
  for (let index = start + mark.length; index < text.length; index += 1) {
    const unit = text[index];
    if (unit === "{") depth += 1;
    if (unit === "}") depth -= 1;
    if (depth === 0) return text.slice(start + mark.length, index).trim();
  }
  return undefined;
}
