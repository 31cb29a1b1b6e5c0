"""The two tiny random Qwen2.5-VL folders that the golden cases run on."""
import json
import os
import shutil
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from common import ROOT, named_parameters

NAMES = ["qwen2_5_vl_a", "qwen2_5_vl_b"]


def config_a():
    """Tied head, grouped queries, windows of 2 x 2 merged tokens; nested layout of transformers 5."""
    ids = {"bos_token_id": 309, "eos_token_id": 310, "pad_token_id": None}
    text = {
        "vocab_size": 320, "hidden_size": 48, "intermediate_size": 68, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 512, "tie_word_embeddings": True, **ids,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 3, 2]},
    }
    vision = {
        "depth": 4, "hidden_size": 24, "intermediate_size": 30, "num_heads": 2, "out_hidden_size": 48,
        "window_size": 56, "fullatt_block_indexes": [1, 3], "patch_size": 14, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "tokens_per_second": 4,
    }
    return Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, image_token_id=314,
        video_token_id=315, vision_start_token_id=312, vision_end_token_id=313,
        architectures=["Qwen2_5_VLForConditionalGeneration"], dtype="float32", **ids,
    )


def config_b():
    """Untied head, three queries per key head, windows of 4 x 4; flat layout as published for transformers 4."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"], "attention_dropout": 0.0,
        "bos_token_id": 289, "eos_token_id": 290, "vision_start_token_id": 292,
        "vision_end_token_id": 293, "vision_token_id": 294, "image_token_id": 295, "video_token_id": 296,
        "hidden_act": "silu", "hidden_size": 48, "initializer_range": 0.02, "intermediate_size": 56,
        "max_position_embeddings": 128000, "max_window_layers": 3, "model_type": "qwen2_5_vl",
        "num_attention_heads": 6, "num_hidden_layers": 3, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": False,
        "torch_dtype": "float32", "transformers_version": "4.41.2", "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            "depth": 3, "hidden_act": "silu", "hidden_size": 16, "intermediate_size": 28, "num_heads": 2,
            "in_chans": 3, "out_hidden_size": 48, "patch_size": 14, "spatial_merge_size": 2,
            "spatial_patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1],
            "tokens_per_second": 2, "temporal_patch_size": 2,
        },
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}, "vocab_size": 300,
    }


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


def write_rest(folder, config, processor):
    """generation_config.json and preprocessor_config.json."""
    text = config.text_config
    generation = {"bos_token_id": text.bos_token_id, "eos_token_id": [text.eos_token_id], "do_sample": False}
    with open(os.path.join(folder, "generation_config.json"), "w") as file:
        json.dump(generation, file, indent=2)
        file.write("\n")
    if processor is None:
        Qwen2VLImageProcessorPil(min_pixels=3136, max_pixels=100352).save_pretrained(folder)
        return
    with open(os.path.join(folder, "preprocessor_config.json"), "w") as file:
        json.dump(processor, file, indent=2)
        file.write("\n")


def make(name, seed):
    folder = os.path.join(ROOT, name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "config.json")
    processor = None
    if name.endswith("_a"):
        config_a().save_pretrained(folder)
    else:
        with open(path, "w") as file:
            json.dump(config_b(), file, indent=2)
            file.write("\n")
        processor = {
            "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2,
            "merge_size": 2, "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor",
        }
    config = Qwen2_5_VLConfig.from_pretrained(folder)
    model = Qwen2_5_VLForConditionalGeneration(config).float()
    randomise(model, seed)
    with tempfile.TemporaryDirectory() as temporary:
        model.save_pretrained(temporary)
        shutil.copy(os.path.join(temporary, "model.safetensors"), folder)
        if name.endswith("_a"):
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


def load(folder):
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    assert model.config.text_config._attn_implementation == "eager"
    assert model.config.vision_config._attn_implementation == "eager"
    return model.eval()


def save(path, tensors):
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, path)
