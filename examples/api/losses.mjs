// @ts-check
// The losses by themselves, on four completions made up by hand: what each is, and which tokens it still pushes.
//   node examples/api/losses.mjs

import { computeAdvantages, computeLoss } from "vlmr1-native";

// Four completions of one question, with the rewards 1, 0, 0.5 and 0.
const { advantages } = computeAdvantages([[1], [0], [0.5], [0]], { numGenerations: 4 });
console.log(`advantages: ${format(advantages)}`);

// log π of each token: when it was sampled, and now. The first token of the first completion is far likelier by now.
const oldLogProbs = [[-1.2, -0.9], [-0.7], [-1.3, -0.2, -0.1], [-0.8]];
const logProbs = [[-0.4, -1.0], [-0.7], [-1.1, -0.2, -0.4], [-1.5]];
const refLogProbs = oldLogProbs;

console.log("\nratios of new to old probability");
for (const [c, row] of logProbs.entries()) {
  console.log(`  completion ${c}: ${format(row.map((value, t) => Math.exp(value - (oldLogProbs[c]?.[t] ?? 0))))}`);
}

console.log("\nloss, and its gradient by each token's log-probability");
// dr_grpo divides by the most tokens that a completion may have.
const batch = { logProbs, oldLogProbs, advantages, maxCompletionLength: 8 };
for (const lossType of /** @type {const} */ (["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo"])) {
  show(lossType, computeLoss({ ...batch, lossType }));
}
// One ratio per completion: luspo needs it, and with grpo it is GSPO.
show("luspo", computeLoss({ ...batch, lossType: "luspo", importanceSamplingLevel: "sequence" }));
show("grpo, sequence", computeLoss({ ...batch, lossType: "grpo", importanceSamplingLevel: "sequence" }));
show("grpo, beta 0.04", computeLoss({ ...batch, refLogProbs, lossType: "grpo", beta: 0.04 }));

// The first token was good (advantage above 0) and its ratio is above 1 + epsilon: it is clipped, and pushed no more.
// A wider range lets it go on.
console.log("\nthe gradient of the first token, whose ratio is 2.23");
for (const epsilonHigh of [0.2, 0.28, 1, 1.5]) {
  const { gradient, metrics } = computeLoss({ ...batch, lossType: "grpo", epsilon: 0.2, epsilonHigh });
  const pushed = gradient[0]?.[0] ?? 0;
  const clipped = metrics["clip_ratio/high_mean"] ?? 0;
  const verdict = pushed === 0 ? "clipped: no gradient" : "not clipped";
  console.log(
    `  epsilon_high ${epsilonHigh}: ${pushed.toFixed(4)} (${verdict}; ${(100 * clipped).toFixed(0)} % clipped)`,
  );
}

/**
 * @param {string} name
 * @param {import("vlmr1-native").LossResult} result
 */
function show(name, { loss, gradient, metrics }) {
  const kl = metrics.kl === undefined ? "" : `, kl ${metrics.kl.toFixed(4)}`;
  console.log(`  ${name.padEnd(16)} ${loss.toFixed(4).padStart(8)}  ${gradient.map(format).join(" ")}${kl}`);
}

/** @param {ArrayLike<number>} values */
function format(values) {
  return `[${Array.from(values, (value) => value.toFixed(3)).join(", ")}]`;
}
