"""LoRA adapters between this project and PEFT, both ways.

`make` writes an adapter with PEFT, its B at random, for this project to load. `compare` loads an adapter (of either
origin) with PEFT and compares what the program said with it: log-probabilities of `vlmr1-native score --adapter
--json`, with `--gradients` those of A and B, with `--merged` the weights that `vlmr1-native merge-adapter` wrote.
Exit code 1 when a limit is passed, or when PEFT adapts other layers than the file holds.
"""
import argparse
import re
import sys
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file

from check_score import compare_scores
from common import checkpoint_name, named_parameters
from oracle import add_arguments, open_oracle, pair, read_rows
from tiny_models import load

LANGUAGE = ["q_proj", "k_proj", "v_proj", "o_proj"]
PARTS = {
    "language": r".*language_model.*\.(q|k|v|o|gate|up|down)_proj",
    "all": r".*(language_model|visual\.(blocks|merger)).*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
    r"|qkv|attn\.proj|fc1|fc2|mlp\.[02])",
    "attention": LANGUAGE,
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="write an adapter with PEFT")
    make.add_argument("--model", required=True)
    make.add_argument("--out", required=True)
    make.add_argument("--layers", choices=PARTS, default="language")
    make.add_argument("--rank", type=int, default=4)
    make.add_argument("--alpha", type=float, default=8)
    make.add_argument("--rslora", action="store_true")
    make.add_argument("--patterns", action="store_true", help="other ranks and alphas for some layers")
    make.add_argument("--seed", type=int, default=1)
    compare = commands.add_parser("compare", help="hold the program's numbers against PEFT's")
    add_arguments(compare)
    compare.add_argument("--adapter", required=True)
    compare.add_argument("--scores", required=True)
    compare.add_argument("--gradients")
    compare.add_argument("--merged", help="folder that merge-adapter wrote")
    compare.add_argument("--temperature", type=float, default=1.0)
    compare.add_argument("--max-logprob-difference", type=float, default=1e-4)
    compare.add_argument("--max-gradient-difference", type=float, default=1e-4)
    compare.add_argument("--max-weight-difference", type=float, default=1e-6)
    return parser.parse_args()


def make(options):
    config = LoraConfig(
        r=options.rank, lora_alpha=options.alpha, target_modules=PARTS[options.layers], use_rslora=options.rslora,
        task_type="CAUSAL_LM",
        rank_pattern={r"layers\.1\..*": options.rank + 3} if options.patterns else {},
        alpha_pattern={"v_proj": 2 * options.alpha, r"0\.mlp\.(up|gate)_proj": 3} if options.patterns else {},
    )
    torch.manual_seed(options.seed)
    model = get_peft_model(load(options.model), config)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.05)
    model.save_pretrained(options.out)
    print(f"{options.out}: {sum('lora_A' in name for name, _ in model.named_parameters())} layers")


def file_keys(path):
    with safe_open(f"{path}/adapter_model.safetensors", "pt") as file:
        return set(file.keys())


def attach(oracle, path):
    """Puts the adapter on the oracle's model. True where PEFT adapts the layers of the file and no others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        oracle.model = PeftModel.from_pretrained(oracle.model, path, is_trainable=True).eval()
    for warning in caught:
        print(f"PEFT warns: {warning.message}")
    inside = {re.sub(r"\.default\.", ".", name) for name, _ in oracle.model.named_parameters() if "lora_" in name}
    given = {re.sub(r"\.default\.", ".", key) for key in file_keys(path)}
    old = {"base_model.model.model.layers": "base_model.model.model.language_model.layers",
           "base_model.model.visual": "base_model.model.model.visual"}
    for start, now in old.items():
        given = {now + key[len(start):] if key.startswith(start) else key for key in given}
    for key in sorted(inside ^ given):
        print(f"{key}: {'only in PEFT' if key in inside else 'only in the file'}")
    print(f"{path}: {len(inside) // 2} layers in PEFT, {len(given) // 2} in the file")
    return inside == given


def relative(have, want):
    have, want = have.detach().double(), want.detach().double()
    return float((have - want).norm() / want.norm().clamp(min=1e-300))


def compare_gradients(model, path, limit):
    given = load_file(path)
    expected = {
        checkpoint_name(re.sub(r"\.default\.", ".", name).removeprefix("base_model.model.")): p.grad
        for name, p in model.named_parameters() if "lora_" in name
    }
    if set(given) != set(expected):
        print(f"gradients: names differ: {sorted(set(given) ^ set(expected))[:6]}")
        return False
    worst = max((relative(given[name], grad), name) for name, grad in expected.items() if grad.norm() > 0)
    print(f"gradients of {len(given)} matrices: largest relative difference {worst[0]:.2e} ({worst[1]})")
    return worst[0] <= limit


def compare_merged(model, path, limit):
    expected, given = named_parameters(model.merge_and_unload()), named_parameters(load(path))
    worst = max((relative(given[name], p.data), name) for name, p in expected.items())
    print(f"merged weights: largest relative difference {worst[0]:.2e} ({worst[1]})")
    return worst[0] <= limit


def compare(options):
    oracle = open_oracle(options)
    good = attach(oracle, options.adapter)
    good &= compare_scores(oracle, list(pair(read_rows(options.data), read_rows(options.scores))), options)
    if options.gradients is not None:
        good &= compare_gradients(oracle.model, options.gradients, options.max_gradient_difference)
    if options.merged is not None:
        good &= compare_merged(oracle.model, options.merged, options.max_weight_difference)
    print("equal within the limits" if good else "DIFFERENT")
    sys.exit(0 if good else 1)


def main():
    options = parse()
    if options.command == "make":
        make(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
