"""LoRA adapters between this project and PEFT, both ways.

`make` writes an adapter with PEFT, its B at random, for this project to load. `compare` loads an adapter (of either
origin) with PEFT and compares what the program said with it: log-probabilities of `vlmr1-native score --adapter
--json`, with `--gradients` those of A and B, with `--merged` the weights that `vlmr1-native merge-adapter` wrote.
Exit code 1 when a limit is passed, or when PEFT adapts other layers than the file holds.
"""
import argparse
import math
import sys

from safetensors.torch import load_file

from check_score import compare_scores
from common import named_parameters
from oracle import add_arguments, open_oracle, pair, read_rows
from peft_adapters import LAYERS, attach, gradients, make
from tiny_models import load


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="write an adapter with PEFT")
    making.add_argument("--model", required=True)
    making.add_argument("--out", required=True)
    making.add_argument("--layers", choices=LAYERS, default="language")
    making.add_argument("--rank", type=int, default=4)
    making.add_argument("--alpha", type=float, default=8)
    making.add_argument("--rslora", action="store_true")
    making.add_argument("--patterns", action="store_true", help="other ranks and alphas for some layers")
    making.add_argument("--seed", type=int, default=1)
    comparing = commands.add_parser("compare", help="hold the program's numbers against PEFT's")
    add_arguments(comparing)
    comparing.add_argument("--adapter", required=True)
    comparing.add_argument("--scores", required=True)
    comparing.add_argument("--gradients")
    comparing.add_argument("--merged", help="folder that merge-adapter wrote")
    comparing.add_argument("--temperature", type=float, default=1.0)
    comparing.add_argument("--max-logprob-difference", type=float, default=1e-4)
    comparing.add_argument("--max-gradient-difference", type=float, default=1e-4)
    comparing.add_argument("--max-weight-difference", type=float, default=1e-6)
    return parser.parse_args()


def relative(have, want):
    have, want = have.detach().double(), want.detach().double()
    error = float((have - want).norm() / want.norm().clamp(min=1e-300))
    return math.inf if math.isnan(error) else error


def compare_gradients(model, path, limit):
    given, expected = load_file(path), gradients(model)
    if set(given) != set(expected):
        print(f"gradients: names differ: {sorted(set(given) ^ set(expected))[:6]}")
        return False
    worst = max((relative(given[name], grad), name) for name, grad in expected.items() if grad.norm() > 0)
    print(f"gradients of {len(given)} matrices: largest relative difference {worst[0]:.2e} ({worst[1]})")
    return worst[0] <= limit


def compare_merged(model, path, limit):
    expected, given = named_parameters(model.merge_and_unload()), named_parameters(load(path))
    worst = max((relative(given[name], p), name) for name, p in expected.items())
    print(f"merged weights: largest relative difference {worst[0]:.2e} ({worst[1]})")
    return worst[0] <= limit


def compare(options):
    oracle = open_oracle(options)
    oracle.model, good = attach(oracle.model, options.adapter)
    good &= compare_scores(oracle, list(pair(read_rows(options.data), read_rows(options.scores))), options)
    if options.gradients is not None:
        good &= compare_gradients(oracle.model, options.gradients, options.max_gradient_difference)
    if options.merged is not None:
        good &= compare_merged(oracle.model, options.merged, options.max_weight_difference)
    print("equal within the limits" if good else "DIFFERENT")
    sys.exit(0 if good else 1)


def main():
    options = vars(parse())
    if options.pop("command") == "make":
        make(**options)
    else:
        compare(argparse.Namespace(**options))


if __name__ == "__main__":
    main()
