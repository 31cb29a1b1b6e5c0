"""Gives the tiny models a tokenizer and a chat template, and writes prompts.json beside each:
conversations -> rendered text -> token ids -> log-probabilities of the answers.
Arguments: the folders to write; without any, all."""
import json
import os
import sys

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from common import ROOT, setup, versions, write_json
from oracle import Oracle, read_rows
from tiny_models import NAMES

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
ENDS = ["<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|vision_start|>", "<|vision_end|>"]
PADS = ["<|image_pad|>", "<|video_pad|>"]
SPECIAL = {
    "qwen2_5_vl_a": (309, [*ENDS, *PADS]),
    "qwen2_5_vl_b": (289, [*ENDS, "<|vision_pad|>", *PADS]),
    "qwen2_vl_a": (289, [*ENDS, *PADS]),
    "qwen2_vl_b": (289, [*ENDS, "<|vision_pad|>", *PADS]),
}
# The project's own; it writes what the published template writes.
FOOD = os.path.join(ROOT, "..", "..", "examples", "food", "tokenizer", "tokenizer_config.json")
with open(FOOD, encoding="utf-8") as source:
    TEMPLATE = json.load(source)["chat_template"]
TEXTS = [
    "How many calories are in this dish?", "<answer>412 kcal</answer>", "  two  spaces\n\n\nand lines\t",
    "it's I'LL we've 1234567890", "e\u0301 is folded to \u00e9", "\u6599\u7406\u306e\u30ab\u30ed\u30ea\u30fc \U0001f35c",
    "<|im_start|>user\nspecial<|im_end|>", "", "a.b,c!?;-_/\\ x=1+2", "\u00a0\u2003odd blanks\r\nCRLF",
]
CORPUS = [
    "the answer is in the picture of the dish", "how many calories are in this dish", "<think> </think>",
    "<answer> kcal </answer>", "You are a helpful assistant", "user system assistant", "it's 100 200 kcal",
]


def write_tokenizer(name, folder):
    first, special = SPECIAL[name]
    tokenizer = Tokenizer(models.BPE(byte_fallback=False, fuse_unk=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=first, initial_alphabet=alphabet, show_progress=False, min_frequency=1)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    assert tokenizer.get_vocab_size() == first, tokenizer.get_vocab_size()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    assert tokenizer.token_to_id(special[-1]) == first + len(special) - 1
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer", "model_max_length": 512, "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>", "bos_token": None, "unk_token": None, "errors": "replace",
        "add_prefix_space": False, "split_special_tokens": False, "clean_up_tokenization_spaces": False,
    }
    if name.endswith("_a"):
        with open(os.path.join(folder, "chat_template.jinja"), "w") as file:
            file.write(TEMPLATE)
    else:
        config["chat_template"] = TEMPLATE
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump(config, file, indent=2)
        file.write("\n")
    return tokenizer


def prompt_case(oracle, row):
    tokens, vision, text = oracle.prompt(row)
    _, answer = oracle.messages(row)
    ending = oracle.tokenizer.eos_token
    completion = oracle.tokenizer(answer + ending, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logprobs = oracle.logprobs(tokens, completion, vision)
    return {
        "id": row["id"], "text": text, "prompt_token_ids": tokens,
        "grids": vision["image_grid_thw"].tolist() if vision else [],
        "token_ids": completion, "logprobs": logprobs.tolist(),
    }


def main():
    setup()
    rows = read_rows(os.path.join(ROOT, "conversations.json"))
    for name in sys.argv[1:] or NAMES:
        folder = os.path.join(ROOT, name)
        plain = write_tokenizer(name, folder)
        oracle = Oracle(folder, ROOT)
        texts = []
        for text in TEXTS:
            ids = oracle.tokenizer(text, add_special_tokens=False)["input_ids"]
            assert ids == plain.encode(text, add_special_tokens=False).ids, text
            texts.append({"text": text, "token_ids": ids, "decoded": plain.decode(ids, skip_special_tokens=False)})
        write_json(os.path.join(folder, "prompts.json"), {
            "versions": versions(), "texts": texts, "prompts": [prompt_case(oracle, row) for row in rows],
        })
        print(name, [len(prompt_case(oracle, row)["prompt_token_ids"]) for row in rows], "prompt tokens")


if __name__ == "__main__":
    main()
