"""A Hugging Face folder opened with transformers, and conversation rows turned into model inputs."""
import json
import os

import torch
from transformers import AutoTokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from pictures import decode
from tiny_models import load_with_problems


class Oracle:
    def __init__(self, folder, image_folder=None, system=None, suffix="", min_pixels=None, max_pixels=None):
        self.model, self.loading_problems = load_with_problems(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        legacy = os.path.join(folder, "chat_template.json")
        if self.tokenizer.chat_template is None and os.path.exists(legacy):
            with open(legacy, encoding="utf-8") as file:
                self.tokenizer.chat_template = json.load(file)["chat_template"]
        limits = {"min_pixels": min_pixels, "max_pixels": max_pixels}
        self.processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
        self.limits = {key: value for key, value in limits.items() if value is not None}
        if len(self.limits) == 1:
            raise SystemExit("give both --min-pixels and --max-pixels, or neither")
        self.image_folder, self.system, self.suffix = image_folder, system, suffix
        self.image_token = self.tokenizer.convert_ids_to_tokens(self.model.config.image_token_id)

    def messages(self, row):
        """Turns up to the last answer, <image> marks turned into picture parts. Returns them and the answer."""
        turns, answer = list(row["conversations"]), None
        if turns[-1]["from"] in ("gpt", "assistant"):
            answer = turns.pop()["value"]
        roles = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for index, turn in enumerate(turns):
            text = turn["value"] + (self.suffix if index == len(turns) - 1 else "")
            parts = []
            for number, piece in enumerate(text.split("<image>")):
                if number:
                    parts.append({"type": "image"})
                if piece:
                    parts.append({"type": "text", "text": piece})
            plain = len(parts) == 1 and parts[0]["type"] == "text"
            messages.append({"role": roles[turn["from"]], "content": parts[0]["text"] if plain else parts})
        return messages, answer

    def pictures(self, row):
        files = row.get("image") or []
        files = [files] if isinstance(files, str) else files
        if not files:
            return None
        images = [decode(os.path.join(self.image_folder or "", file)) for file in files]
        return self.processor(images=images, return_tensors="pt", **self.limits)

    def prompt(self, row):
        """Token ids with every image mark repeated, the picture tensors and the rendered text."""
        messages, _ = self.messages(row)
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        vision = self.pictures(row)
        grids = vision["image_grid_thw"].tolist() if vision else []
        pieces = text.split(self.image_token)
        if len(pieces) != len(grids) + 1:
            raise SystemExit(f"row {row.get('id')}: {len(pieces) - 1} <image> marks, {len(grids)} pictures")
        unit = self.processor.merge_size**2
        expanded = pieces[0]
        for (t, h, w), piece in zip(grids, pieces[1:]):
            expanded += self.image_token * (t * h * w // unit) + piece
        return self.tokenizer(expanded, add_special_tokens=False)["input_ids"], vision, text

    def inputs(self, tokens, vision):
        ids = torch.tensor([tokens])
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if vision:
            inputs["mm_token_type_ids"] = (ids == self.model.config.image_token_id).int()
            inputs["pixel_values"] = vision["pixel_values"]
            inputs["image_grid_thw"] = vision["image_grid_thw"]
        return inputs

    def logits(self, prompt, completion, vision):
        """The logits that predict each completion token."""
        out = self.model(**self.inputs(prompt + completion, vision), use_cache=False)
        return out.logits[0, len(prompt) - 1 : -1].float()

    def logprobs(self, prompt, completion, vision, temperature=1.0):
        scaled = self.logits(prompt, completion, vision) / temperature
        return torch.log_softmax(scaled, -1).gather(1, torch.tensor(completion)[:, None])[:, 0]


def read_rows(path):
    """A JSON array, or one object a line."""
    with open(path, encoding="utf-8") as file:
        text = file.read().lstrip("\ufeff")
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def add_arguments(parser):
    parser.add_argument("--model", required=True, help="Hugging Face folder")
    parser.add_argument("--data", required=True, help="conversations, JSON or JSONL")
    parser.add_argument("--image-folder", help="where relative picture paths start; default: the data file's folder")
    parser.add_argument("--system", help="system prompt, if one was given")
    parser.add_argument("--suffix", default="", help="text added to the last question, if any was")
    parser.add_argument("--min-pixels", type=int)
    parser.add_argument("--max-pixels", type=int)
    parser.add_argument("--threads", type=int, default=2)


def open_oracle(options):
    torch.set_num_threads(options.threads)
    folder = options.image_folder or os.path.dirname(os.path.abspath(options.data))
    return Oracle(
        options.model, folder, options.system, options.suffix, options.min_pixels, options.max_pixels
    )


def pair(rows, results):
    """Result lines with their data rows, by id; a row without an id is known by its number."""
    known = {str(row.get("id", number)): row for number, row in enumerate(rows)}
    for result in results:
        key = str(result["id"])
        if key not in known:
            raise SystemExit(f"no row with id {key} in the data")
        yield key, known[key], result


def check_prompt(key, prompt, result):
    """True if the result carries no prompt or the same one."""
    given = result.get("prompt_token_ids")
    if given is None or given == prompt:
        return True
    at = next((i for i, (a, b) in enumerate(zip(prompt, given)) if a != b), min(len(prompt), len(given)))
    print(f"{key}: prompts differ from token {at} on: expected {prompt[at:at + 8]}, got {given[at:at + 8]}")
    return False
