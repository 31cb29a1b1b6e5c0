"""Compares greedy generations of vlmr1-native with transformers.

Generations: one JSON object a line with "id", "token_ids" and, if present, "logprobs" and
"prompt_token_ids". Every token must be the most likely one given those before it, unless the two best
are nearer than --tie; a tie may be decided either way. transformers' generate() is run as well, and the
length of the common beginning is shown. Exit code 1 when a token is wrong.
"""
import argparse
import sys

import torch
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor, SuppressTokensLogitsProcessor

from oracle import add_arguments, check_prompt, open_oracle, pair, read_rows


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--generations", required=True)
    parser.add_argument("--repetition-penalty", type=float, default=1.0)
    parser.add_argument("--tie", type=float, default=1e-3)
    parser.add_argument("--max-logprob-difference", type=float, default=1e-4)
    return parser.parse_args()


def processors(oracle, penalty):
    chain = LogitsProcessorList()
    if penalty != 1.0:
        chain.append(RepetitionPenaltyLogitsProcessor(penalty))
    banned = [oracle.model.config.image_token_id, oracle.model.config.video_token_id]
    chain.append(SuppressTokensLogitsProcessor(banned, device="cpu"))
    return chain


@torch.no_grad()
def check_tokens(oracle, key, prompt, vision, result, options):
    """Each token against the best of its own history."""
    tokens, good, ties = result["token_ids"], True, 0
    logits = oracle.logits(prompt, tokens, vision)
    chain = processors(oracle, options.repetition_penalty)
    for step, token in enumerate(tokens):
        history = torch.tensor([prompt + tokens[:step]])
        scores = chain(history, logits[step : step + 1].clone())[0]
        best = int(scores.argmax())
        gap = float(scores[best] - scores[token])
        if best != token and gap > options.tie:
            print(f"{key}: step {step} gave {token}, expected {best} (better by {gap:.4f})")
            good = False
        ties += best != token and gap <= options.tie
    worst = 0.0
    if tokens and result.get("logprobs"):
        picked = torch.log_softmax(logits, -1).gather(1, torch.tensor(tokens)[:, None])[:, 0]
        worst = (picked - torch.tensor(result["logprobs"])).abs().max().item()
        good &= worst <= options.max_logprob_difference
    return good, ties, worst


@torch.no_grad()
def common_beginning(oracle, prompt, vision, tokens, penalty):
    config = oracle.model.generation_config
    config.eos_token_id, config.pad_token_id = None, 0
    banned = [oracle.model.config.image_token_id, oracle.model.config.video_token_id]
    out = oracle.model.generate(
        **oracle.inputs(prompt, vision), do_sample=False, max_new_tokens=len(tokens),
        suppress_tokens=banned, repetition_penalty=penalty,
    )
    mine = out[0, len(prompt) :].tolist()
    return next((i for i, (a, b) in enumerate(zip(mine, tokens)) if a != b), len(tokens))


def main():
    options = parse()
    oracle = open_oracle(options)
    good = True
    for key, row, result in pair(read_rows(options.data), read_rows(options.generations)):
        prompt, vision, _ = oracle.prompt(row)
        good &= check_prompt(key, prompt, result)
        tokens = result["token_ids"]
        if not tokens:
            print(f"{key}: nothing generated")
            continue
        right, ties, worst = check_tokens(oracle, key, prompt, vision, result, options)
        shared = common_beginning(oracle, prompt, vision, tokens, options.repetition_penalty)
        print(
            f"{key}: {len(prompt)} + {len(tokens)} tokens, {'right' if right else 'WRONG'}, {ties} near ties, "
            f"generate() agrees on {shared}, log-probabilities differ by {worst:.2e}"
        )
        good &= right
    print("equal within the limits" if good else "DIFFERENT")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
