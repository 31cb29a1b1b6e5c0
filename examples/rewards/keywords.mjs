// A reward in JavaScript whose types an editor and tsc check through JSDoc:
//   vlmr1-native train --reward accuracy ./examples/rewards/keywords.mjs

/** @typedef {import("vlmr1-native").rewards.RewardFunction} RewardFunction */

/**
 * The share of the row's `keywords` that the completion says, from 0 to 1. Rows without the field are not judged.
 *
 * @type {RewardFunction}
 */
export default function keywords(completion, row) {
  const wanted = row.raw.keywords;
  if (!Array.isArray(wanted) || wanted.length === 0) return null;
  const text = completion.toLowerCase();
  const found = wanted.filter((word) => text.includes(String(word).toLowerCase()));
  return found.length / wanted.length;
}
