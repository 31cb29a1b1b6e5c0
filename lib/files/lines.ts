/**
 * The lines of a text that comes in pieces, without their "\n"; what follows the last one is a line where it is not empty.
 * Node's readline also ends lines at U+2028, which JSON may hold. Time is linear in the text, also in that of one line.
 */
export async function* linesIn(pieces: AsyncIterable<string>): AsyncGenerator<string, void> {
  let begun: string[] = [];
  for await (const piece of pieces) {
    const [first = "", ...others] = piece.split("\n");
    begun.push(first);
    for (const other of others) {
      yield begun.join("");
      begun = [other];
    }
  }
  const rest = begun.join("");
  if (rest !== "") yield rest;
}
