"""Writes a model's folder in one of the layouts that people have."""
import copy
import json
import os
import shutil

import torch
from safetensors.torch import save_file

from checkpoints.program import REPOSITORY
from common import ROOT, read_json
from tiny_models import write_json_file

TORCH_TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
TYPE_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def older_rope(part, rope, kind):
    part |= {"rope_theta": rope["rope_theta"], "rope_scaling": {"type": kind, "mrope_section": rope["mrope_section"]}}


def older_config(written):
    """As the last releases of transformers 4 wrote it."""
    config = copy.deepcopy(written)
    for part in (config["text_config"], config["vision_config"]):
        part.pop("dtype", None)
        rope = part.pop("rope_parameters")
        if "mrope_section" in rope:
            older_rope(part, rope, "default")
            part["rope_scaling"]["rope_type"] = "default"
    config.pop("dtype", None)
    return {**config, "torch_dtype": "float32", "transformers_version": "4.57.1"}


def flat_config(written):
    """As the published checkpoints have it."""
    flat = older_config(written)
    text, vision = flat.pop("text_config"), flat["vision_config"]
    older_rope(text, written["text_config"]["rope_parameters"], "mrope")
    for key in ("layer_types", "model_type"):
        text.pop(key, None)
    vision["in_chans"] = vision.pop("in_channels", 3)
    return {**text, **flat, "transformers_version": "4.41.2"}


CONFIGS = {"5.x": copy.deepcopy, "4.57": older_config, "4.x flat": flat_config}


def write_config(folder, source, layout):
    config = CONFIGS[layout.config](source.config)
    name = TYPE_NAMES[layout.dtype]
    config["dtype" if "dtype" in config else "torch_dtype"] = name
    for part in ("text_config", "vision_config"):
        if "dtype" in config.get(part, {}):
            config[part]["dtype"] = name
    write_json_file(os.path.join(folder, "config.json"), config)


def runtime_name(name):
    if name.startswith("visual."):
        return "model." + name
    return "model.language_model." + name.removeprefix("model.") if name.startswith("model.") else name


def stored_tensors(source, layout):
    tensors = dict(source.tensors)
    if layout.head == "stored":
        tensors[HEAD] = tensors[EMBEDDING].clone()
    rename = runtime_name if layout.names == "runtime" else str
    return {rename(name): value.to(TORCH_TYPES[layout.dtype]) for name, value in tensors.items()}


def write_shards(folder, tensors, count):
    """An index that is out of step with the order of the layers, as real ones are."""
    names = sorted(tensors)
    weight_map = {}
    for number in range(count):
        file = f"model-{number + 1:05}-of-{count:05}.safetensors"
        part = {name: tensors[name] for name in names[number::count]}
        save_file(part, os.path.join(folder, file), metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    total = sum(value.numel() * value.element_size() for value in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json_file(os.path.join(folder, "model.safetensors.index.json"), index)


def write_weights(folder, tensors, files):
    if files == "shards":
        write_shards(folder, tensors, 3)
    else:
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def write_processor(folder, golden, where):
    """The same limits in the three places where they are found."""
    given = read_json(os.path.join(golden, "preprocessor_config.json"))
    size = given.pop("size", None) or {}
    least = given.pop("min_pixels", None) or size["shortest_edge"]
    most = given.pop("max_pixels", None) or size["longest_edge"]
    edges = {"shortest_edge": least, "longest_edge": most}
    file, fields = "preprocessor_config.json", {**given, "size": edges}
    if where == "min_pixels":
        fields = {**given, "min_pixels": least, "max_pixels": most}
    elif where == "processor_config.json":
        file, fields = where, {"processor_class": "Qwen2_5_VLProcessor", "image_processor": fields}
    write_json_file(os.path.join(folder, file), fields)


def write_tokenizer(folder, golden, where):
    shutil.copy(os.path.join(golden, "tokenizer.json"), folder)
    config = read_json(os.path.join(golden, "tokenizer_config.json"))
    config.pop("chat_template", None)
    food = os.path.join(REPOSITORY, "examples", "food", "tokenizer", "tokenizer_config.json")
    template = read_json(food)["chat_template"]
    if where == "tokenizer_config.json":
        config["chat_template"] = template
    elif where == "chat_template.json":
        write_json_file(os.path.join(folder, where), {"chat_template": template})
    else:
        with open(os.path.join(folder, where), "w", encoding="utf-8") as file:
            file.write(template)
    write_json_file(os.path.join(folder, "tokenizer_config.json"), config)


def write_generation(folder, source, eos, other_end):
    """A list names the model's usual end and another token, a single one the other token alone."""
    if eos == "no file":
        return
    usual = source.config["text_config"]["eos_token_id"]
    ends = [usual, other_end] if eos == "list" else other_end
    fields = {"bos_token_id": usual - 1, "eos_token_id": ends, "pad_token_id": usual - 1}
    sampling = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05}
    write_json_file(os.path.join(folder, "generation_config.json"), {**fields, **sampling})


def write_folder(folder, source, layout):
    """All but generation_config.json."""
    os.makedirs(folder)
    golden = os.path.join(ROOT, source.shape.golden)
    write_config(folder, source, layout)
    write_weights(folder, stored_tensors(source, layout), layout.files)
    write_tokenizer(folder, golden, layout.template)
    write_processor(folder, golden, layout.pixels)
    return folder


def stored_names(folder):
    """Names of the tensors in a folder's files."""
    index = os.path.join(folder, "model.safetensors.index.json")
    if os.path.exists(index):
        return set(read_json(index)["weight_map"])
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return set(json.loads(file.read(length))) - {"__metadata__"}
