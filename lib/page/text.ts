const HALF = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Text for the page: of at most `limit` characters, what was cut named, and with no half of a surrogate pair. */
export function clip(text: string, limit: number): string {
  if (text.length <= limit) return text.replace(HALF, "\ufffd");
  const end = /[\ud800-\udbff]/.test(text.charAt(limit - 1)) ? limit - 1 : limit;
  return `${text.slice(0, end).replace(HALF, "\ufffd")}… (${text.length - end} more characters)`;
}
