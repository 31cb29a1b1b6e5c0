"""LoRA adapters made, opened and named with PEFT."""
import re
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open

from common import checkpoint_name
from tiny_models import load

LAYERS = {
    "language": r".*language_model.*\.(q|k|v|o|gate|up|down)_proj",
    "all": r".*(language_model|visual\.(blocks|merger)).*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
    r"|qkv|attn\.proj|fc1|fc2|mlp\.[02])",
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
}
# Versions of transformers before 4.52 had these names in memory.
OLD_STARTS = {
    "base_model.model.model.layers": "base_model.model.model.language_model.layers",
    "base_model.model.visual": "base_model.model.model.visual",
}


def make(model, out, layers="language", rank=4, alpha=8, rslora=False, patterns=False, seed=1):
    """Writes an adapter as PEFT writes it, its B at random, and returns the model with it."""
    config = LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=LAYERS[layers], use_rslora=rslora, task_type="CAUSAL_LM",
        rank_pattern={r"layers\.1\..*": rank + 3} if patterns else {},
        alpha_pattern={"v_proj": 2 * alpha, r"0\.mlp\.(up|gate)_proj": 3} if patterns else {},
    )
    torch.manual_seed(seed)
    adapted = get_peft_model(load(model), config)
    for name, p in sorted(adapted.named_parameters()):
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.05)
    adapted.save_pretrained(out)
    return adapted.eval()


def attach(model, path):
    """The model with an adapter. Also whether PEFT adapts the layers of the file and no others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        adapted = PeftModel.from_pretrained(model, path, is_trainable=True).eval()
    for warning in caught:
        print(f"PEFT warns: {warning.message}")
    inside = {without_name(name) for name, _ in adapted.named_parameters() if "lora_" in name}
    with safe_open(f"{path}/adapter_model.safetensors", "pt") as file:
        given = {without_name(key) for key in file.keys()}
    for start, now in OLD_STARTS.items():
        given = {now + key[len(start):] if key.startswith(start) else key for key in given}
    for key in sorted(inside ^ given):
        print(f"{key}: {'only in PEFT' if key in inside else 'only in the file'}")
    print(f"{path}: {len(inside) // 2} layers in PEFT, {len(given) // 2} in the file")
    return adapted, inside == given


def without_name(name):
    return re.sub(r"\.default\.", ".", name)


def gradients(adapted):
    """Of A and B, under the names of published checkpoints."""
    return {
        checkpoint_name(without_name(name).removeprefix("base_model.model.")): p.grad
        for name, p in adapted.named_parameters() if "lora_" in name
    }
