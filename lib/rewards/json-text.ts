/** What a text holds as JSON: its last ```json block, or ``` block, or all of it; undefined where that does not parse. */
export function parseJsonAnswer(text: string): { value: unknown } | undefined {
  for (const source of [lastBlock(text, "```json") ?? lastBlock(text, "```"), text]) {
    if (source === undefined) continue;
    try {
      return { value: JSON.parse(source) };
    } catch {
      // The next source may do.
    }
  }
  return undefined;
}

/** Between the last opening mark and the fence that closes it. */
function lastBlock(text: string, mark: string): string | undefined {
  let block: string | undefined;
  for (let open = text.indexOf(mark); open >= 0; ) {
    const start = open + mark.length;
    const close = text.indexOf("```", start);
    if (close < 0) break;
    block = text.slice(start, close);
    open = text.indexOf(mark, close + 3);
  }
  return block;
}
