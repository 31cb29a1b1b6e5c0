"""Rows: checkpoints that are not whole. The program must refuse them, by name."""
import os
import shutil

import torch
from safetensors.torch import load_file, save_file

from checkpoints import compare
from checkpoints.folders import write_folder, write_shards
from checkpoints.layouts import plain_layout
from checkpoints.program import run
from checkpoints.shapes import make_source
from common import read_json
from tiny_models import write_json_file

NORM, QUERY, MERGER = "model.norm.weight", "model.layers.1.self_attn.q_proj.weight", "visual.merger.mlp.2.bias"
INDEX = "model.safetensors.index.json"
SECOND = "model-00002-of-00003.safetensors"


def missing(tensors):
    del tensors[NORM], tensors[QUERY], tensors[MERGER]
    return [NORM, QUERY, MERGER]


def extra(tensors):
    tensors |= {"model.layers.7.mlp.up_proj.weight": torch.ones(3), "visual.blocks.0.norm9.weight": torch.ones(3)}
    return ["model.layers.7.mlp.up_proj.weight", "visual.blocks.0.norm9.weight"]


def misshapen(tensors):
    tensors[NORM] = torch.ones(5)
    tensors["model.layers.0.mlp.down_proj.weight"] = tensors["model.layers.0.mlp.down_proj.weight"].T.contiguous()
    return [f"{NORM} (expected [48], got [5])", "model.layers.0.mlp.down_proj.weight (expected [48, 68], got [68, 48])"]


def integers(tensors):
    tensors[QUERY], tensors[MERGER] = tensors[QUERY].to(torch.int8), tensors[MERGER].to(torch.int64)
    return [f"{QUERY} (I8)", f"{MERGER} (I64)"]


def tied_head_of_its_own(tensors):
    tensors["lm_head.weight"] = 1.5 * tensors["model.embed_tokens.weight"]
    return ["lm_head.weight (tied to model.embed_tokens.weight)"]


def everything(tensors):
    del tensors[NORM]
    tensors["strange"] = torch.ones(3)
    tensors[QUERY] = torch.ones(2, 2)
    tensors[MERGER] = tensors[MERGER].to(torch.int32)
    return [NORM, "strange", f"{QUERY} (expected [48, 48], got [2, 2])", f"{MERGER} (I32)"]


def shards_gone(folder):
    names = ["model-00001-of-00003.safetensors", SECOND]
    for name in names:
        os.remove(os.path.join(folder, name))
    return "ERR_IO", names


def shard_cut(folder):
    path = os.path.join(folder, SECOND)
    os.truncate(path, os.path.getsize(path) // 2)
    return "ERR_CHECKPOINT", [SECOND]


def shard_without_tensors(folder):
    path = os.path.join(folder, SECOND)
    tensors = load_file(path)
    gone = sorted(tensors)[:3]
    save_file({name: value for name, value in tensors.items() if name not in gone}, path)
    return "ERR_CHECKPOINT", [f"{name} ({SECOND})" for name in gone]


def index_points_out(folder):
    path = os.path.join(folder, INDEX)
    index = read_json(path)
    index["weight_map"][NORM] = "../model.safetensors"
    write_json_file(path, index)
    return "ERR_CHECKPOINT", ['"../model.safetensors"']


TENSORS = {
    "tensors missing": missing, "tensors extra": extra, "tensors of other shapes": misshapen,
    "tensors of integers": integers, "missing, extra, misshapen and integer": everything,
    "a tied lm_head with values of its own": tied_head_of_its_own,
}
SHARDS = {
    "shards gone": shards_gone, "a shard cut in half": shard_cut,
    "a shard without tensors that the index names": shard_without_tensors,
    "an index that points out of the folder": index_points_out,
}


def add_refusal(table, shape, what, folder, code, names):
    result = run("score", "--model", folder, "--data", compare.DATA, "--json")
    failures = [f"not named: {name}" for name in names if name not in result.stderr]
    if result.returncode != 1 or f"[{code}]" not in result.stderr:
        failures.append(f"exit code {result.returncode}: {result.stderr.strip()[:200]}")
    if result.stdout:
        failures.append("numbers all the same")
    table.add(shape, "damaged", "f32", f"{what}: {code}, {len(names)} named", failures=failures)


def compare_damage(table, scratch):
    shape = "qwen2_5_vl_a"
    source = make_source(shape)
    whole = write_folder(os.path.join(scratch, "whole"), source, plain_layout(shape))
    weights = os.path.join(whole, "model.safetensors")
    for what, damage in TENSORS.items():
        tensors = dict(source.tensors)
        names = damage(tensors)
        save_file(tensors, weights)
        add_refusal(table, shape, what, whole, "ERR_CHECKPOINT", names)
    os.remove(weights)
    for what, damage in SHARDS.items():
        folder = os.path.join(scratch, what)
        shutil.copytree(whole, folder)
        write_shards(folder, source.tensors, 3)
        add_refusal(table, shape, what, folder, *damage(folder))
