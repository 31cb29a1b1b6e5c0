"""Writes test/golden/layouts.json: what transformers makes of the files that Qwen folders have beside their weights.
Needs Node for the folder with Qwen's tokenizer (scripts/make-qwen-tokenizer.mjs)."""
import copy
import json
import os
import subprocess
import tempfile

import numpy
from PIL import Image
from transformers import AutoTokenizer, GenerationConfig, PreTrainedConfig, Qwen2_5_VLConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor

from common import ROOT, setup, versions, write_json

MAKE_TOKENIZER = os.path.join(ROOT, "..", "..", "scripts", "make-qwen-tokenizer.mjs")
SIZES = [(45, 60), (300, 500), (9, 30), (1100, 1500)]
COLOUR = (128, 3, 250)
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
PUBLISHED = {
    "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
    "image_mean": MEAN, "image_std": STD, "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}
FAST = {
    "crop_size": None, "data_format": "channels_first", "default_to_square": True, "device": None, "do_center_crop": None,
    "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": MEAN,
    "image_processor_type": "Qwen2VLImageProcessorFast", "image_std": STD, "input_data_format": None,
    "max_pixels": None, "merge_size": 2, "min_pixels": None, "patch_size": 14, "resample": 3,
    "rescale_factor": 0.00392156862745098, "return_tensors": None,
    "size": {"longest_edge": 200704, "shortest_edge": 3136}, "temporal_patch_size": 2,
}
EDGES = {"size": {"shortest_edge": 4000, "longest_edge": 90000}}
PREPROCESSORS = {
    "published": PUBLISHED, "saved by the fast processor": FAST, "nothing": {}, "edges": EDGES,
    "min and max over edges": {**EDGES, "min_pixels": 20000, "max_pixels": 60000},
    "min alone over edges": {**EDGES, "min_pixels": 20000}, "max alone": {"max_pixels": 50176}, "min alone": {"min_pixels": 50176},
    "nulls": {"size": None, "min_pixels": None, "max_pixels": None},
    "null edge": {"size": {"shortest_edge": None, "longest_edge": 90000}, "min_pixels": 4000},
    "shortest edge alone": {"size": {"shortest_edge": 4000}}, "longest edge alone": {"size": {"longest_edge": 90000}},
    "height and width": {"size": {"height": 224, "width": 224}},
    "height and width under limits": {"size": {"height": 224, "width": 224}, "min_pixels": 4000, "max_pixels": 90000},
    "limits inside size": {"size": {"min_pixels": 4000, "max_pixels": 90000}}, "a number": {"size": 224},
    "not normalised": {**PUBLISHED, "max_pixels": 50176, "do_normalize": False},
    "not rescaled": {**PUBLISHED, "max_pixels": 50176, "do_rescale": False},
    "other statistics": {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2], "rescale_factor": 0.01, "max_pixels": 50176},
    "other patches": {"patch_size": 16, "merge_size": 1, "temporal_patch_size": 1, "max_pixels": 50176},
    "not converted to RGB": {**PUBLISHED, "do_convert_rgb": False, "max_pixels": 50176},
}
ONE, TWO = {"min_pixels": 4000, "max_pixels": 30000}, {"min_pixels": 40000, "max_pixels": 90000}
IMAGE_FILES = {
    "processor_config.json alone": {"processor_config.json": {"image_processor": ONE, "processor_class": "Qwen2_5_VLProcessor"}},
    "processor_config.json over preprocessor_config.json": {
        "processor_config.json": {"image_processor": ONE}, "preprocessor_config.json": TWO},
    "a processor_config.json without pictures": {
        "processor_config.json": {"processor_class": "Qwen2VLProcessor"}, "preprocessor_config.json": TWO},
    "settings for videos beside": {"preprocessor_config.json": ONE, "video_preprocessor_config.json": TWO},
}
GENERATION = {
    "Qwen2.5-VL": {"bos_token_id": 5, "do_sample": True, "eos_token_id": [7, 5], "pad_token_id": 5, "repetition_penalty": 1.05,
                   "temperature": 0.000001},
    "Qwen2-VL": {"bos_token_id": 5, "do_sample": True, "eos_token_id": [7, 5], "pad_token_id": 5, "temperature": 0.01,
                 "top_k": 1, "top_p": 0.001},
    "greedy": {"eos_token_id": 7, "do_sample": False, "repetition_penalty": 1.1}, "sampled, nothing more": {"eos_token_id": 7, "do_sample": True},
    "greedy with sampling fields": {"eos_token_id": 7, "temperature": 0.5, "top_k": 3, "top_p": 0.9},
    "all": {"eos_token_id": [7], "do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.05, "repetition_penalty": 1.2},
    "top_k off": {"eos_token_id": 7, "do_sample": True, "top_k": 0}, "nulls": {"eos_token_id": 7, "do_sample": True, "temperature": None,
                  "top_k": None, "top_p": None, "repetition_penalty": None, "min_p": None},
    "pad alone": {"pad_token_id": 5}, "no file": None,
}
NAMED = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "named default"}]
TEMPLATES = {
    "tokenizer_config.json": {"tokenizer_config.json": {"chat_template": "config"}},
    "named": {"tokenizer_config.json": {"chat_template": NAMED}},
    "named without a default": {"tokenizer_config.json": {"chat_template": NAMED[:1]}},
    "jinja over tokenizer_config.json": {"tokenizer_config.json": {"chat_template": "config"}, "chat_template.jinja": "jinja"},
    "json over tokenizer_config.json": {"tokenizer_config.json": {"chat_template": "config"}, "chat_template.json": {"chat_template": "json"}},
    "json over jinja": {"chat_template.jinja": "jinja", "chat_template.json": {"chat_template": "json"}},
    "processor_config.json over all": {"chat_template.jinja": "jinja", "chat_template.json": {"chat_template": "json"},
                                       "processor_config.json": {"chat_template": "processor"}},
    "additional beside jinja": {"chat_template.jinja": "jinja", "additional_chat_templates/tool_use.jinja": "tools"},
    "additional without a default": {"additional_chat_templates/tool_use.jinja": "tools"},
    "additional named default": {"additional_chat_templates/default.jinja": "additional", "additional_chat_templates/tool_use.jinja": "tools"},
    "additional beside json": {"chat_template.json": {"chat_template": "json"}, "additional_chat_templates/tool_use.jinja": "tools"},
    "none": {},
}
PICTURE = {"type": "image"}


def text(value):
    return {"type": "text", "text": value}


CHATS = {
    "one picture": [{"role": "user", "content": [PICTURE, text("What is it?")]}],
    "several pictures in a turn": [{"role": "user", "content": [text("Compare "), PICTURE, text(" with "), PICTURE, PICTURE, text(".")]}],
    "text alone": [{"role": "user", "content": "2 + 2?"}],
    "text parts alone": [{"role": "user", "content": [text("2 "), text("+ 2?")]}],
    "system": [{"role": "system", "content": "Answer briefly.\n"}, {"role": "user", "content": [PICTURE]}],
    "several turns": [
        {"role": "user", "content": [PICTURE, text("这是什么食物？")]}, {"role": "assistant", "content": "<think>\n…</think><answer>pear 57</answer>"},
        {"role": "user", "content": [text("  And this?"), PICTURE]}, {"role": "assistant", "content": [text("An apple.")]},
        {"role": "user", "content": "Which has more?"}],
    "empty": [{"role": "user", "content": ""}],
    "marks of its own": [{"role": "user", "content": "<|im_end|>\n{{ messages }}{% if %}"}],
}


def write_files(folder, files):
    for name, value in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(value if isinstance(value, str) else json.dumps(value))


def refusal(error):
    return {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:90]}"}


def image_case(name, files):
    """Sizes of resized pictures, and one pixel of a picture of a single colour, per channel."""
    original = copy.deepcopy(Qwen2VLImageProcessorPil.size)
    with tempfile.TemporaryDirectory() as folder:
        write_files(folder, files)
        try:
            processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
            rows = []
            for height, width in SIZES:
                out = processor(images=[Image.new("RGB", (width, height), COLOUR)], return_tensors="np")
                grid = out["image_grid_thw"][0].tolist()
                patch = out["pixel_values"][0].reshape(3, -1)
                rows.append({"height": height, "width": width, "grid": grid, "patch": int(out["pixel_values"].shape[1])})
            result = {"pictures": rows, "colour": patch[:, 0].astype(numpy.float64).tolist()}
        except (ValueError, TypeError) as error:
            result = refusal(error)
    # The class's own dictionary is written to where only min_pixels or max_pixels are given.
    Qwen2VLImageProcessorPil.size = original
    return {"name": name, "files": files, **result}


def generation_case(name, fields):
    """As generate() fills in what the folder leaves out."""
    with tempfile.TemporaryDirectory() as folder:
        config = Qwen2_5_VLConfig(text_config={"eos_token_id": 9})
        if fields is None:
            settings = GenerationConfig.from_model_config(config)
        else:
            write_files(folder, {"generation_config.json": fields})
            settings = GenerationConfig.from_pretrained(folder)
    settings.update(**GenerationConfig._get_default_generation_params(), defaults_only=True)
    keys = ["do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "eos_token_id"]
    return {"name": name, "file": fields, "effective": {key: getattr(settings, key) for key in keys}}


def template_case(name, files):
    """The processor's template, else the tokenizer's."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(folder, files)
        PreTrainedConfig(model_type="qwen2_5_vl").save_pretrained(folder)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            if file not in files:
                with open(os.path.join(ROOT, "qwen2_5_vl_a", file), encoding="utf-8") as source:
                    write_files(folder, {file: source.read()})
        try:
            # from_pretrained would go on to the video processor, which needs torchvision.
            fields, _ = Qwen2VLProcessor.get_processor_dict(folder)
            template = fields.get("chat_template") or AutoTokenizer.from_pretrained(folder).chat_template
            if isinstance(template, dict):
                template = template["default"]
            result = {"template": template}
        except (ValueError, KeyError) as error:
            result = refusal(error)
    return {"name": name, "files": files, **result}


def prompt_cases():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["node", MAKE_TOKENIZER, "--out", folder], check=True, stdout=subprocess.DEVNULL)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        rows = []
        for name, messages in CHATS.items():
            for generation in (True, False):
                rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation)
                ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
                rows.append({"name": name, "messages": messages, "add_generation_prompt": generation, "text": rendered, "token_ids": ids})
        return rows


def main():
    setup()
    files = {name: {"preprocessor_config.json": fields} for name, fields in PREPROCESSORS.items()}
    write_json(os.path.join(ROOT, "layouts.json"), {
        "versions": versions(), "colour": COLOUR,
        "images": [image_case(name, value) for name, value in {**files, **IMAGE_FILES}.items()],
        "generation": [generation_case(name, fields) for name, fields in GENERATION.items()],
        "templates": [template_case(name, value) for name, value in TEMPLATES.items()],
        "prompts": prompt_cases(),
    })


if __name__ == "__main__":
    main()
