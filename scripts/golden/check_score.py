"""Compares log-probabilities and gradients of `vlmr1-native score --json --gradients` with transformers.

Scores: one JSON object a line with "id", "token_ids", "logprobs" and, if present, "prompt_token_ids".
Gradients: safetensors under the checkpoint's tensor names, of the mean negative log-likelihood of all
those tokens. Exit code 1 when a limit is passed.
"""
import argparse
import sys

import torch
from safetensors.torch import load_file

from common import named_parameters
from oracle import add_arguments, check_prompt, open_oracle, pair, read_rows


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--scores", required=True)
    parser.add_argument("--gradients")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--max-logprob-difference", type=float, default=1e-4)
    parser.add_argument("--min-cosine", type=float, default=0.99999)
    parser.add_argument("--max-norm-difference", type=float, default=1e-4)
    return parser.parse_args()


def compare_scores(oracle, pairs, options):
    """Largest log-probability difference; leaves the gradients on the model when they are wanted."""
    total = sum(len(result["token_ids"]) for _, _, result in pairs)
    worst, loss, good = 0.0, 0.0, True
    for key, row, result in pairs:
        tokens = result["token_ids"]
        if len(tokens) != len(result["logprobs"]):
            raise SystemExit(f"{key}: {len(tokens)} tokens, {len(result['logprobs'])} log-probabilities")
        prompt, vision, _ = oracle.prompt(row)
        good &= check_prompt(key, prompt, result)
        with torch.set_grad_enabled(options.gradients is not None):
            expected = oracle.logprobs(prompt, tokens, vision, options.temperature)
            share = -expected.sum() / total
        if options.gradients is not None:
            share.backward()
        loss += share.item()
        difference = (expected.detach() - torch.tensor(result["logprobs"])).abs().max().item()
        worst = max(worst, difference)
        print(f"{key}: {len(prompt)} + {len(tokens)} tokens, log-probabilities differ by {difference:.2e}")
    print(f"all: {total} tokens, mean NLL {loss:.6f}, largest difference {worst:.2e}")
    return good and worst <= options.max_logprob_difference


def compare_gradients(model, path, options):
    given, good, rows = load_file(path), True, []
    expected = named_parameters(model)
    for name in sorted(set(given) ^ set(expected)):
        print(f"{name}: {'not in the file' if name in expected else 'not in the model'}")
        good = False
    for name in sorted(set(given) & set(expected)):
        p = expected[name]
        want = (torch.zeros_like(p) if p.grad is None else p.grad).double().flatten()
        have = given[name].double().flatten()
        if have.shape != want.shape:
            raise SystemExit(f"{name}: shape {list(given[name].shape)}, expected {list(p.shape)}")
        if want.norm() == 0:
            rows.append((1.0 if have.norm() == 0 else 0.0, float(have.norm()), name))
            continue
        cosine = float(want @ have / (want.norm() * have.norm()).clamp(min=1e-300))
        rows.append((cosine, float(have.norm() / want.norm() - 1), name))
    for cosine, norm, name in sorted(rows)[:10]:
        print(f"{name}: cosine {cosine:.8f}, norm off by {norm:+.2e}")
    worst = max((abs(norm) for _, norm, _ in rows), default=0.0)
    print(f"{len(rows)} parameters, lowest cosine {min(rows)[0]:.8f}, largest relative norm difference {worst:.2e}")
    return good and min(rows)[0] >= options.min_cosine and worst <= options.max_norm_difference


def main():
    options = parse()
    oracle = open_oracle(options)
    pairs = list(pair(read_rows(options.data), read_rows(options.scores)))
    good = compare_scores(oracle, pairs, options)
    if options.gradients is not None:
        good &= compare_gradients(oracle.model, options.gradients, options)
    print("equal within the limits" if good else "DIFFERENT")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
