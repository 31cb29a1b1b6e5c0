"""Rows: folders that the program writes, loaded by transformers."""
import glob
import os

import torch

from checkpoints import compare
from checkpoints.folders import TORCH_TYPES, TYPE_NAMES, stored_names
from checkpoints.layouts import plain_layout, write_whole
from checkpoints.program import REPOSITORY, call, score
from checkpoints.shapes import make_source
from common import read_json
from safetensors import safe_open

SHARD_BYTES = 40_000
SHARDS = ["--max-shard-size", SHARD_BYTES]
FOOD = os.path.join(REPOSITORY, "examples", "food", "tokenizer")
# Shape, changes of the layout that is trained, type and files that are saved.
TRAINED = [
    ("qwen2_5_vl_a", {"config": "4.57", "head": "stored"}, "f32", []),
    ("qwen2_5_vl_b", {"config": "4.x flat", "names": "runtime", "files": "shards"}, "bf16", SHARDS),
    ("qwen2_vl_a", {"dtype": "bf16"}, "f16", SHARDS),
    ("qwen2_vl_b", {"dtype": "f16", "files": "shards"}, "auto", SHARDS),
    ("qwen2_vl_gelu", {"config": "4.x flat"}, "bf16", []),
]
MADE = [("tiny", "f32", []), ("tiny", "bf16", SHARDS), ("tiny-qwen2-vl", "f32", SHARDS), ("tiny-qwen2-vl", "f16", [])]


def weight_files(folder):
    return glob.glob(os.path.join(folder, "*.safetensors"))


def file_problems(folder, dtype, sharded):
    """Types and sizes of the files, and the type that config.json names."""
    problems = []
    config = read_json(os.path.join(folder, "config.json"))
    named = config.get("dtype", config.get("torch_dtype"))
    if named != TYPE_NAMES[dtype]:
        problems.append(f"config.json says {named}")
    if sharded != (len(weight_files(folder)) > 1):
        problems.append(f"{len(weight_files(folder))} files of weights")
    for path in weight_files(folder):
        with safe_open(path, "pt") as file:
            tensors = [file.get_tensor(name) for name in file.keys()]
        if any(tensor.dtype != TORCH_TYPES[dtype] for tensor in tensors):
            problems.append(f"{path}: tensors of another type")
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if sharded and len(tensors) > 1 and size > SHARD_BYTES:
            problems.append(f"{path}: {size} bytes")
    return problems


def add_saved(table, model, folder, dtype, sharded, what, expected_names=None):
    """A row for a folder that the program has written. Returns transformers' view of it."""
    oracle = compare.open_folder(folder)
    error, failures = compare.logprobs_difference(oracle, score(folder, compare.DATA))
    failures += file_problems(folder, dtype, sharded)
    if expected_names is not None and stored_names(folder) != expected_names:
        failures.append(f"other names: {sorted(stored_names(folder) ^ expected_names)[:8]}")
    files = f"saved as {len(weight_files(folder))} shards" if sharded else "saved as one file"
    table.add(model, files, dtype, f"{what}: no keys missing or unexpected; log-probabilities", error,
              compare.LOGITS_BOUND, failures)
    return oracle


def train(folder, run, *arguments):
    call("sft", "--model", folder, "--dataset", compare.DATA, "--output-dir", run, "--max-steps", 2, "--save-steps", 0,
         "--prompts-per-step", 2, *arguments)


def moved(source, oracle):
    """Whether training has changed the weights: what is compared is not the folder that was there before."""
    now = oracle.model.get_input_embeddings().weight
    return not torch.equal(now, source.tensors["model.embed_tokens.weight"])


def compare_saves(table, scratch):
    for number, (shape, changes, dtype, files) in enumerate(TRAINED):
        source = make_source(shape)
        layout = plain_layout(shape, **changes)
        folder, saved = (os.path.join(scratch, f"{number}-{kind}") for kind in ("from", "saved"))
        write_whole(folder, source, layout)
        train(folder, os.path.join(scratch, f"{number}-run"), "--learning-rate", 1e-3, "--save-model-to", saved,
              "--save-dtype", dtype, *files)
        written = layout.dtype if dtype == "auto" else dtype
        what = f"sft of {layout.config}, {layout.names} names, {layout.dtype}"
        oracle = add_saved(table, shape, saved, written, bool(files), what, set(source.tensors))
        if not moved(source, oracle):
            raise SystemExit(f"{shape}: training changed nothing")
    for preset, dtype, files in MADE:
        out = os.path.join(scratch, f"{preset}-{dtype}")
        call("init-model", "--preset", preset, "--tokenizer", FOOD, "--out", out, "--dtype", dtype, *files)
        add_saved(table, preset, out, dtype, bool(files), "init-model")
