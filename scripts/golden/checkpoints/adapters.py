"""Rows: LoRA adapters, PEFT's in the program and the program's in PEFT, and merged."""
import os

from safetensors.torch import load_file

from checkpoints import compare
from checkpoints.layouts import plain_layout, write_whole
from checkpoints.program import call, score
from checkpoints.saves import SHARDS, add_saved, train
from checkpoints.shapes import make_source
from checkpoints.table import relative_error
from common import named_parameters
from peft_adapters import attach, gradients, make
from tiny_models import load

WEIGHT_BOUND = 1e-6
# Adapters that are compared move the log-probabilities by more than this, relatively.
LEAST_EFFECT = 1e-2
EVERYWHERE = "language, vision, merger"
# What PEFT makes: a description, and arguments of peft_adapters.make.
FROM_PEFT = {
    "language": {},
    EVERYWHERE: {"layers": "all"},
    f"{EVERYWHERE}, rslora": {"layers": "all", "rslora": True},
    f"{EVERYWHERE}, rank_pattern, alpha_pattern": {"layers": "all", "patterns": True},
}
EVERY_PART = ["--use-peft", "--lora-vision", "--lora-merger", "--lora-r", 4]
# What the program trains: a description and its options.
FROM_US = {
    "language": ["--use-peft", "--lora-r", 4],
    EVERYWHERE: EVERY_PART,
    f"{EVERYWHERE}, rslora": [*EVERY_PART, "--use-rslora"],
}
PATTERNS = f"{EVERYWHERE}, rank_pattern, alpha_pattern"


class Base:
    """A model's folder, and the rows about adapters on it."""

    def __init__(self, table, shape, scratch):
        self.table, self.shape, self.scratch = table, shape, os.path.join(scratch, shape)
        os.makedirs(self.scratch)
        self.folder = self.path("base")
        write_whole(self.folder, make_source(shape), plain_layout(shape))
        self.without = self.numbers(score(self.folder, compare.DATA))

    @staticmethod
    def numbers(results):
        return [value for result in results for value in result["logprobs"]]

    def path(self, name):
        return os.path.join(self.scratch, name.replace(", ", "-"))

    def add(self, layout, what, error, bound, failures=()):
        self.table.add(self.shape, layout, "f32", what, error, bound, failures)

    def peft(self, adapter):
        oracle = compare.open_folder(self.folder)
        oracle.model, same_layers = attach(oracle.model, adapter)
        return oracle, [] if same_layers else ["PEFT adapts other layers than the file holds"]

    def compare(self, layout, adapter, merged):
        """Log-probabilities, gradients and merged weights of an adapter."""
        oracle, failures = self.peft(adapter)
        path = self.path("gradients.safetensors")
        results = score(self.folder, compare.DATA, "--adapter", adapter, "--gradients", path)
        error, wrong = compare.logprobs_difference(oracle, results)
        if not relative_error(self.numbers(results), self.without) > LEAST_EFFECT:
            wrong.append("the adapter does nothing")
        self.add(layout, "log-probabilities", error, compare.LOGITS_BOUND, failures + wrong)
        compare.backward(oracle, results)
        expected = gradients(oracle.model)
        worst, _, differ = compare.norm_differences(load_file(path), expected)
        self.add(layout, f"gradients of {len(expected)} matrices A and B", worst, compare.GRADIENT_BOUND, differ)
        error, wrong = compare.logprobs_difference(oracle, score(merged, compare.DATA))
        self.add(layout, "merged by us: log-probabilities, against PEFT's adapter", error, compare.LOGITS_BOUND, wrong)
        by_peft = named_parameters(oracle.model.merge_and_unload())
        worst, _, differ = compare.norm_differences(named_parameters(load(merged)), by_peft)
        self.add(layout, "merged by us: weights, against PEFT's merge", worst, WEIGHT_BOUND, differ)

    def from_peft(self, name):
        adapter, merged = self.path(f"peft-{name}"), self.path(f"merged-{name}")
        make(self.folder, adapter, **FROM_PEFT[name])
        call("merge-adapter", "--model", self.folder, "--adapter", adapter, "--out", merged)
        self.compare(f"PEFT → ours: {name}", adapter, merged)
        return adapter

    def from_us(self, name, arguments):
        adapter, merged = self.path(f"our-{name}"), self.path(f"our-merged-{name}")
        train(self.folder, self.path(f"run-{name}"), "--learning-rate", 0.03, "--save-model-to", adapter,
              "--save-merged-to", merged, *arguments)
        self.compare(f"ours → PEFT: {name}", adapter, merged)

    def merged_shards(self, adapter, dtype):
        merged = self.path(f"merged-{dtype}")
        call("merge-adapter", "--model", self.folder, "--adapter", adapter, "--out", merged, "--dtype", dtype, *SHARDS)
        add_saved(self.table, self.shape, merged, dtype, True, "merge-adapter")


def compare_adapters(table, scratch):
    base = Base(table, "qwen2_5_vl_a", scratch)
    for name in FROM_PEFT:
        base.from_peft(name)
    for name, arguments in FROM_US.items():
        base.from_us(name, arguments)
    # No option sets ranks of single layers: an adapter that has them is trained further.
    base.from_us(PATTERNS, ["--adapter", base.path(f"peft-{PATTERNS}")])
    base.merged_shards(base.path(f"peft-{PATTERNS}"), "bf16")
    other = Base(table, "qwen2_vl_b", scratch)
    adapter = other.from_peft(PATTERNS)
    other.from_us(f"{EVERYWHERE}, rslora", FROM_US[f"{EVERYWHERE}, rslora"])
    other.merged_shards(adapter, "f16")
