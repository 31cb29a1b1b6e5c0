"""Configurations of the tiny random models that the golden cases run on, and what goes beside them."""
from transformers import Qwen2_5_VLConfig, Qwen2VLConfig


def ids(end):
    return {"bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": None}


def qwen2_5_vl_a():
    """Tied head, grouped queries, windows of 2 x 2 merged tokens; nested layout of transformers 5."""
    text = {
        "vocab_size": 320, "hidden_size": 48, "intermediate_size": 68, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 512, "tie_word_embeddings": True, **ids(310),
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
        architectures=["Qwen2_5_VLForConditionalGeneration"], dtype="float32", **ids(310),
    )


def qwen2_5_vl_b():
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


def qwen2_vl_a():
    """Tied head, quick GELU, patches of 6 x 6; nested layout of transformers 5."""
    text = {
        "vocab_size": 300, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 512, "tie_word_embeddings": True, **ids(290),
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 2, 1]},
    }
    vision = {
        "depth": 3, "embed_dim": 16, "hidden_size": 32, "hidden_act": "quick_gelu", "mlp_ratio": 4, "num_heads": 2,
        "patch_size": 6, "spatial_merge_size": 2, "temporal_patch_size": 2,
    }
    return Qwen2VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, image_token_id=294, video_token_id=295,
        vision_start_token_id=292, vision_end_token_id=293, architectures=["Qwen2VLForConditionalGeneration"],
        dtype="float32", **ids(290),
    )


def qwen2_vl_b():
    """Untied head, GELU by tanh, four queries per key head, patches of 4 x 4; flat layout as published."""
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"], "attention_dropout": 0.0,
        "bos_token_id": 289, "eos_token_id": 290, "vision_start_token_id": 292,
        "vision_end_token_id": 293, "vision_token_id": 294, "image_token_id": 295, "video_token_id": 296,
        "hidden_act": "silu", "hidden_size": 32, "initializer_range": 0.02, "intermediate_size": 40,
        "max_position_embeddings": 32768, "max_window_layers": 2, "model_type": "qwen2_vl",
        "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": False,
        "torch_dtype": "float32", "transformers_version": "4.41.2", "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            "depth": 2, "embed_dim": 16, "mlp_ratio": 3, "num_heads": 2, "in_chans": 3, "hidden_size": 32,
            "hidden_act": "gelu_pytorch_tanh", "patch_size": 4, "spatial_merge_size": 2, "spatial_patch_size": 4,
            "temporal_patch_size": 2,
        },
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]}, "vocab_size": 300,
    }


def processor(patch_size, min_pixels, max_pixels, processor_class):
    """preprocessor_config.json as published."""
    return {
        "min_pixels": min_pixels, "max_pixels": max_pixels, "patch_size": patch_size, "temporal_patch_size": 2,
        "merge_size": 2, "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": processor_class,
    }


# Name -> its config.json, a configuration where transformers writes it and a dictionary where it is written as is; and
# its preprocessor_config.json, or the arguments of the processor that writes it.
MODELS = {
    "qwen2_5_vl_a": (qwen2_5_vl_a, {"min_pixels": 3136, "max_pixels": 100352}),
    "qwen2_5_vl_b": (qwen2_5_vl_b, processor(14, 3136, 12845056, "Qwen2_5_VLProcessor")),
    "qwen2_vl_a": (qwen2_vl_a, {"min_pixels": 576, "max_pixels": 9216, "patch_size": 6}),
    "qwen2_vl_b": (qwen2_vl_b, processor(4, 256, 4096, "Qwen2VLProcessor")),
}
