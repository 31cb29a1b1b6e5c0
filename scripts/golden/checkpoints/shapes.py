"""The tiny random models that folders are written from."""
import copy
import os
import tempfile
from dataclasses import dataclass

import transformers
from safetensors.torch import load_file
from transformers import AutoConfig

from common import read_json
from tiny_configs import MODELS
from tiny_models import randomise, write_json_file


def with_exact_gelu():
    """One vision head, GELU by the error function."""
    config = copy.deepcopy(MODELS["qwen2_vl_b"][0]())
    config["vision_config"] |= {"hidden_act": "gelu", "num_heads": 1, "mlp_ratio": 4}
    return config


@dataclass(frozen=True)
class Shape:
    make_config: object
    # The golden folder whose tokenizer and processor settings it takes.
    golden: str
    tied: bool
    seed: int


SHAPES = {
    "qwen2_5_vl_a": Shape(MODELS["qwen2_5_vl_a"][0], "qwen2_5_vl_a", True, 101),
    "qwen2_5_vl_b": Shape(MODELS["qwen2_5_vl_b"][0], "qwen2_5_vl_b", False, 102),
    "qwen2_vl_a": Shape(MODELS["qwen2_vl_a"][0], "qwen2_vl_a", True, 103),
    "qwen2_vl_b": Shape(MODELS["qwen2_vl_b"][0], "qwen2_vl_b", False, 104),
    "qwen2_vl_gelu": Shape(with_exact_gelu, "qwen2_vl_b", False, 105),
}


@dataclass
class Source:
    """A model's configuration and weights, from which its folders are written."""

    shape: Shape
    # As transformers 5 writes it.
    config: dict
    # Published names.
    tensors: dict


def read_config(written, folder):
    path = os.path.join(folder, "config.json")
    if isinstance(written, dict):
        write_json_file(path, written)
    else:
        written.save_pretrained(folder)
    return AutoConfig.from_pretrained(folder)


def make_source(name):
    shape = SHAPES[name]
    with tempfile.TemporaryDirectory() as folder:
        config = read_config(shape.make_config(), folder)
        model = getattr(transformers, config.architectures[0])(config).float()
        randomise(model, shape.seed)
        model.save_pretrained(folder)
        tensors = load_file(os.path.join(folder, "model.safetensors"))
        return Source(shape, read_json(os.path.join(folder, "config.json")), tensors)
