"""The tiny random folders that the golden cases run on."""
import json
import os
import shutil
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from common import ROOT, named_parameters
from tiny_configs import MODELS

NAMES = list(MODELS)


def randomise(model, seed):
    """Weights far from a fresh model's: sharp logits, and no bias or norm weight left at 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(named_parameters(model).items()):
        noise = torch.randn(p.shape, generator=generator)
        if name.endswith(".bias"):
            value = 0.1 * noise
        elif p.dim() == 1:
            value = 1 + 0.2 * noise
        elif "embed_tokens" in name or "lm_head" in name:
            value = 0.35 * noise
        elif "patch_embed" in name:
            value = 0.04 * noise
        else:
            value = 0.17 * noise
        p.data.copy_(value)


def write_json_file(path, value):
    with open(path, "w") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def write_rest(folder, config, processor):
    """generation_config.json and preprocessor_config.json."""
    text = config.text_config
    generation = {"bos_token_id": text.bos_token_id, "eos_token_id": [text.eos_token_id], "do_sample": False}
    write_json_file(os.path.join(folder, "generation_config.json"), generation)
    if "processor_class" in processor:
        write_json_file(os.path.join(folder, "preprocessor_config.json"), processor)
    else:
        Qwen2VLImageProcessorPil(**processor).save_pretrained(folder)


def make(name, seed):
    folder = os.path.join(ROOT, name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "config.json")
    make_config, processor = MODELS[name]
    written = make_config()
    as_is = isinstance(written, dict)
    if as_is:
        write_json_file(path, written)
    else:
        written.save_pretrained(folder)
    config = AutoConfig.from_pretrained(folder)
    model = getattr(transformers, config.architectures[0])(config).float()
    randomise(model, seed)
    with tempfile.TemporaryDirectory() as temporary:
        model.save_pretrained(temporary)
        shutil.copy(os.path.join(temporary, "model.safetensors"), folder)
        if not as_is:
            shutil.copy(os.path.join(temporary, "config.json"), path)
    write_rest(folder, config, processor)
    check(folder, model)


def check(folder, model):
    """The file's names are the published ones, and the folder loads to the same weights."""
    stored = load_file(os.path.join(folder, "model.safetensors"))
    expected = named_parameters(model)
    assert set(stored) == set(expected), sorted(set(stored) ^ set(expected))
    for key, p in expected.items():
        assert torch.equal(stored[key], p.data), key
    loaded = load(folder)
    for key, p in named_parameters(loaded).items():
        assert torch.equal(stored[key], p.data), key
    print(os.path.basename(folder), sum(p.numel() for p in expected.values()), "parameters")


def load_with_problems(folder):
    """The model, and the names that transformers misses in the folder or has no use for."""
    model, found = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    assert model.config.text_config._attn_implementation == "eager"
    assert model.config.vision_config._attn_implementation == "eager"
    problems = [f"{kind}: {sorted(names)}" for kind, names in found.items() if names]
    return model.eval(), problems


def load(folder):
    return load_with_problems(folder)[0]


def save(path, tensors):
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, path)
