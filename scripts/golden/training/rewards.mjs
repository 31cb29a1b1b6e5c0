// What completions are rewarded for: simple numbers that differ from completion to completion. rewards.py has the same.

/** Share of characters that are small Latin letters. */
export function letters(completion) {
  const characters = [...completion];
  return characters.filter((character) => /^[a-z]$/.test(character)).length / (characters.length + 1);
}

/** More for fewer characters; does not apply to completions with a 6. */
export function brevity(completion) {
  return completion.includes("6") ? null : 8 / (8 + [...completion].length);
}

/** As letters, and the same for all answers to the question with two pictures. */
export function indifferent(completion, row) {
  return row.id === "two-pictures" ? 0.5 : letters(completion);
}
