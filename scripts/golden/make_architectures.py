"""Writes architectures.json: the configurations of the published sizes in the layouts in which they come, and the names
and shapes of their parameters, from models without memory (the meta device)."""
import copy
import os
import re

import torch
import transformers
from transformers import AutoConfig

from common import ROOT, named_parameters, versions, write_json

# hidden size, layers, heads, key/value heads, feed-forward, vocabulary, tied, positions, max_window_layers
TEXT = {
    "Qwen2-VL-2B": (1536, 28, 12, 2, 8960, 151936, True, 32768, 28),
    "Qwen2-VL-7B": (3584, 28, 28, 4, 18944, 152064, False, 32768, 28),
    "Qwen2-VL-72B": (8192, 80, 64, 8, 29568, 152064, False, 32768, 80),
    "Qwen2.5-VL-3B": (2048, 36, 16, 2, 11008, 151936, True, 128000, 70),
    "Qwen2.5-VL-7B": (3584, 28, 28, 4, 18944, 152064, False, 128000, 28),
    "Qwen2.5-VL-32B": (5120, 64, 40, 8, 27648, 152064, False, 128000, 64),
    "Qwen2.5-VL-72B": (8192, 80, 64, 8, 29568, 152064, False, 128000, 80),
}
# Feed-forward of the vision tower, which Qwen2-VL gives as a ratio.
VISION_INNER = {"Qwen2.5-VL-3B": 3420, "Qwen2.5-VL-7B": 3420, "Qwen2.5-VL-32B": 3456, "Qwen2.5-VL-72B": 3456}


def vision_config(name):
    hidden = TEXT[name][0]
    common = {"depth": 32, "num_heads": 16, "in_chans": 3, "patch_size": 14, "spatial_merge_size": 2,
              "spatial_patch_size": 14, "temporal_patch_size": 2}
    if name not in VISION_INNER:
        return {**common, "embed_dim": 1280, "mlp_ratio": 4, "hidden_size": hidden}
    return {
        **common, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": VISION_INNER[name],
        "out_hidden_size": hidden, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31],
        "tokens_per_second": 2,
    }


def flat(name):
    """As published."""
    hidden, layers, heads, kv_heads, inner, vocab, tied, positions, window_layers = TEXT[name]
    family = "Qwen2_5_VL" if name in VISION_INNER else "Qwen2VL"
    return {
        "architectures": [f"{family}ForConditionalGeneration"], "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151645, "vision_start_token_id": 151652, "vision_end_token_id": 151653,
        "vision_token_id": 151654, "image_token_id": 151655, "video_token_id": 151656, "hidden_act": "silu",
        "hidden_size": hidden, "initializer_range": 0.02, "intermediate_size": inner,
        "max_position_embeddings": positions, "max_window_layers": window_layers,
        "model_type": "qwen2_5_vl" if name in VISION_INNER else "qwen2_vl", "num_attention_heads": heads,
        "num_hidden_layers": layers, "num_key_value_heads": kv_heads, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "sliding_window": 32768, "tie_word_embeddings": tied, "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2", "use_cache": True, "use_sliding_window": False,
        "vision_config": vision_config(name), "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "vocab_size": vocab,
    }


def sparse(config):
    """As transformers 4.4x saved it again: of vision_config, only what its class does not know or has otherwise."""
    vision_class = type(AutoConfig.for_model(config["model_type"]).vision_config)
    defaults = vision_class().to_dict()
    defaults["fullatt_block_indexes"] = list(defaults.get("fullatt_block_indexes", []))
    kept = {k: v for k, v in config["vision_config"].items() if k not in defaults or defaults[k] != v}
    rope = {"type": "default", "rope_type": "default", "mrope_section": [16, 24, 24]}
    return {**config, "vision_config": {**kept, "model_type": config["model_type"]}, "rope_scaling": rope,
            "sliding_window": None}


def parsed(config):
    return type(AutoConfig.for_model(config["model_type"])).from_dict(copy.deepcopy(config))


def nested(config):
    """As transformers 5 writes it."""
    return parsed(config).to_diff_dict()


def parameters(config):
    with torch.device("meta"):
        model = getattr(transformers, config["architectures"][0])(parsed(config))
    return {name: list(p.shape) for name, p in named_parameters(model).items()}


def patterns(shapes):
    """Name with * for the layer -> how many layers have it, and its shape."""
    found = {}
    for name, shape in shapes.items():
        pattern = re.sub(r"\.(layers|blocks)\.\d+\.", r".\1.*.", name)
        entry = found.setdefault(pattern, [0, *shape])
        assert entry[1:] == shape, name
        entry[0] += 1
    return found


def main():
    rows = []
    for name in TEXT:
        layouts = {"flat": flat(name), "sparse": sparse(flat(name)), "nested": nested(flat(name))}
        shapes = {layout: parameters(config) for layout, config in layouts.items()}
        assert shapes["flat"] == shapes["sparse"] == shapes["nested"], name
        total = sum(torch.Size(shape).numel() for shape in shapes["flat"].values())
        print(name, f"{total:,}", len(shapes["flat"]))
        rows.append({"name": name, "layouts": layouts, "total": total, "parameters": patterns(shapes["flat"])})
    write_json(os.path.join(ROOT, "architectures.json"), {"versions": versions(), "architectures": rows})


if __name__ == "__main__":
    main()
