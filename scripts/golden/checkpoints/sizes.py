"""Rows: the presets, real sizes among them, against transformers' models without memory."""
import os

import torch
import transformers
from transformers import AutoConfig

from checkpoints.program import call
from common import checkpoint_name, read_json

SCRIPT = os.path.join(os.path.dirname(__file__), "describe-presets.mjs")


def differences(described, expected):
    """Names on one side only, and those of other shapes."""
    lines = [f"{name}: the engine's only" for name in described.keys() - expected.keys()]
    lines += [f"{name}: transformers' only" for name in expected.keys() - described.keys()]
    for name in described.keys() & expected.keys():
        if described[name] != expected[name]:
            lines.append(f"{name}: {described[name]}, expected {expected[name]}")
    return sorted(lines)[:8]


def compare_sizes(table, scratch):
    for name in call(scratch, script=SCRIPT).split():
        folder = os.path.join(scratch, name)
        description = read_json(os.path.join(folder, "description.json"))
        config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):
            model = getattr(transformers, config.architectures[0])(config)
        runtime = {key: list(p.shape) for key, p in model.named_parameters()}
        published = {checkpoint_name(key): shape for key, shape in runtime.items()}
        parameters = description["parameters"]
        failures = differences({p["name"]: p["shape"] for p in parameters}, published)
        failures += differences({p["runtimeName"]: p["shape"] for p in parameters}, runtime)
        total = sum(p.numel() for p in model.parameters())
        if total != description["info"]["parameters"]:
            failures.append(f"{description['info']['parameters']} parameters, expected {total}")
        what = f"{len(published)} names and shapes, {total:,} parameters equal"
        table.add(name, "init-model's config.json", "", what, failures=failures)
