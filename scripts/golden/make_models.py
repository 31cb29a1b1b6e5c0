"""Writes test/golden/{qwen2_5_vl,qwen2_vl}_{a,b}: the folders, then the cases, gradients and generations.
Arguments: the folders to write; without any, all."""
import os
import sys

import torch

from common import ROOT, named_parameters, setup, versions, write_json
from tiny_models import NAMES, load, make, save

SEEDS = {"qwen2_5_vl_a": 11, "qwen2_5_vl_b": 23, "qwen2_vl_a": 31, "qwen2_vl_b": 59}
# The optimizer does not know the family: its steps are kept for one.
WITH_ADAMW = ["qwen2_5_vl_a", "qwen2_5_vl_b"]
# name, pieces of the prompt: a number of text tokens, or a picture's grid (t, h, w)
CASES = {
    "qwen2_5_vl_a": [
        ("text", [13], 8),
        ("one_image", [4, (1, 10, 6), 7], 9),
        ("two_images", [3, (1, 4, 6), 5, (1, 8, 4), 6], 10),
        ("wide", [2, (1, 2, 22), 3], 6),
    ],
    "qwen2_5_vl_b": [
        ("text", [9], 6),
        ("one_image", [5, (1, 10, 6), 4], 8),
        ("two_images", [2, (1, 6, 4), 1, (1, 4, 10), 8], 9),
        ("wide", [6, (1, 4, 20), 5], 7),
    ],
    "qwen2_vl_a": [
        ("text", [11], 6),
        ("one_image", [3, (1, 6, 4), 5], 7),
        ("two_images", [2, (1, 4, 6), 4, (1, 6, 2), 5], 8),
        ("wide", [4, (1, 2, 14), 2], 5),
    ],
    # A grid of two frames is no still picture, but what the model makes of one.
    "qwen2_vl_b": [
        ("text", [8], 7),
        ("one_image", [4, (1, 8, 6), 3], 6),
        ("two_images", [3, (1, 6, 4), 1, (1, 4, 6), 6], 8),
        ("frames", [5, (2, 4, 6), 4], 6),
    ],
}
NEW_TOKENS = 24


def build_case(config, pieces, completion_length, generator):
    """Token ids, grids and random patches of one case."""
    low = min(config.text_config.bos_token_id, config.vision_start_token_id)
    words = lambda n: torch.randint(0, low, (n,), generator=generator).tolist()
    prompt, grids, pixels = [], [], []
    for piece in pieces:
        if isinstance(piece, int):
            prompt += words(piece)
            continue
        count = piece[0] * piece[1] * piece[2]
        pads = [config.image_token_id] * (count // 4)
        prompt += [config.vision_start_token_id, *pads, config.vision_end_token_id]
        grids.append(list(piece))
        pixels.append(torch.randn((count, patch_elements(config.vision_config)), generator=generator))
    return prompt, grids, pixels, words(completion_length)


def patch_elements(vision):
    return vision.in_channels * vision.temporal_patch_size * vision.patch_size**2


def model_inputs(model, tokens, grids, pixels):
    ids = torch.tensor([tokens])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if grids:
        inputs["mm_token_type_ids"] = (ids == model.config.image_token_id).int()
        inputs["image_grid_thw"] = torch.tensor(grids)
        inputs["pixel_values"] = torch.cat(pixels)
    return inputs


def positions(model, inputs):
    if "image_grid_thw" not in inputs:
        length = inputs["input_ids"].shape[1]
        return torch.arange(length).expand(3, length)
    ids, _ = model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], image_grid_thw=inputs["image_grid_thw"]
    )
    return ids[:, 0]


def forward(model, inputs, prompt_length):
    """Logits of every position and the mean negative log-likelihood of the completion."""
    logits = model(**inputs, use_cache=False).logits[0]
    targets = inputs["input_ids"][0, prompt_length:]
    logprobs = torch.log_softmax(logits[prompt_length - 1 : -1], dim=-1)
    picked = logprobs.gather(1, targets[:, None])[:, 0]
    return logits, picked


def generate(model, inputs, penalty):
    """Greedy, no stop token, picture tokens suppressed. Log-probabilities of the raw and the processed logits."""
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    banned = [model.config.image_token_id, model.config.video_token_id]
    out = model.generate(
        **inputs, do_sample=False, max_new_tokens=NEW_TOKENS, suppress_tokens=banned,
        repetition_penalty=penalty, return_dict_in_generate=True, output_logits=True, output_scores=True,
    )
    tokens = out.sequences[0, inputs["input_ids"].shape[1] :]
    assert len(tokens) == NEW_TOKENS and not set(banned) & set(tokens.tolist())
    raw, scores = torch.cat(out.logits).float(), torch.cat(out.scores).float()
    top = scores.topk(2, dim=-1).values
    pick = lambda values: torch.log_softmax(values, -1).gather(1, tokens[:, None])[:, 0].tolist()
    return {
        "tokens": tokens.tolist(), "logprobs": pick(raw), "processed_logprobs": pick(scores),
        "margins": (top[:, 0] - top[:, 1]).tolist(), "suppressed_tokens": banned,
        "repetition_penalty": penalty,
    }


def check_cached(model, tokens, grids, pixels, record):
    """Teacher forcing without a cache agrees with what generate() reported, step by step."""
    inputs = model_inputs(model, tokens + record["tokens"], grids, pixels)
    _, picked = forward(model, inputs, len(tokens))
    worst = (picked - torch.tensor(record["logprobs"])).abs().max().item()
    assert worst < 2e-5, worst
    return worst


def run_case(model, name, case, tensors):
    prompt, grids, pixels, completion = case
    inputs = model_inputs(model, prompt + completion, grids, pixels)
    where = positions(model, inputs)
    with torch.no_grad():
        logits, picked = forward(model, inputs, len(prompt))
        tensors[f"{name}.logits"] = logits
        tensors[f"{name}.position_ids"] = where.int()
        if grids:
            features = model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
            tensors[f"{name}.pixel_values"] = inputs["pixel_values"]
            tensors[f"{name}.image_features"] = torch.cat(list(features.pooler_output))
        given = model_inputs(model, prompt, grids, pixels)
        greedy, penalised = generate(model, given, 1.0), generate(model, given, 1.3)
        check_cached(model, prompt, grids, pixels, greedy)
    low = min(greedy["margins"] + penalised["margins"])
    print(f"  {name}: {len(prompt)} + {len(completion)} tokens, lowest margin {low:.4f}")
    return {
        "name": name, "prompt_tokens": prompt, "images": grids, "completion_tokens": completion,
        "positions": where.tolist(), "completion_logprobs": picked.tolist(),
        "loss": -picked.double().mean().item(), "greedy": greedy, "greedy_rp": penalised,
    }


def gradients(model, folder, case):
    """Gradients of the mean NLL."""
    prompt, grids, pixels, completion = case
    inputs = model_inputs(model, prompt + completion, grids, pixels)
    _, picked = forward(model, inputs, len(prompt))
    loss = -picked.mean()
    loss.backward()
    parameters = named_parameters(model)
    for key, p in parameters.items():
        assert p.grad is not None and p.grad.abs().max() > 1e-7, key
    save(os.path.join(folder, "gradients.safetensors"), {k: p.grad for k, p in parameters.items()})
    return loss.double().item()


def train_step(model, folder, loss):
    """The parameters after clipping and one and two AdamW steps, from the gradients that lie there."""
    parameters = named_parameters(model)
    decayed = [p for p in parameters.values() if p.dim() >= 2]
    others = [p for p in parameters.values() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, foreach=False)
    norm = torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0, foreach=False)
    optimizer.step()
    stepped = {k: p.data.clone() for k, p in parameters.items()}
    for p in parameters.values():
        p.grad.mul_(-0.3)
    optimizer.step()
    stepped |= {f"step2.{k}": p.data for k, p in parameters.items() if p.numel() <= 4096}
    save(os.path.join(folder, "adamw.safetensors"), stepped)
    return {
        "case": "two_images", "loss": loss, "grad_norm": norm.double().item(),
        "max_grad_norm": 1.0, "learning_rate": 1e-3, "betas": [0.9, 0.95], "eps": 1e-8,
        "weight_decay": 0.1, "weight_decay_on": "tensors of two axes or more",
        "step2": "a second step, its gradients = -0.3 x the clipped ones; tensors of <= 4096 numbers",
    }


def main():
    setup()
    for name in sys.argv[1:] or NAMES:
        make(name, SEEDS[name])
        folder = os.path.join(ROOT, name)
        model = load(folder)
        generator = torch.Generator().manual_seed(SEEDS[name] + 1000)
        cases = {n: build_case(model.config, p, c, generator) for n, p, c in CASES[name]}
        tensors, rows = {}, []
        for case_name, case in cases.items():
            rows.append(run_case(model, case_name, case, tensors))
        save(os.path.join(folder, "cases.safetensors"), tensors)
        trained = load(folder)
        loss = gradients(trained, folder, cases["two_images"])
        training = {"training": train_step(trained, folder, loss)} if name in WITH_ADAMW else {}
        write_json(os.path.join(folder, "cases.json"), {"versions": versions(), **training, "cases": rows})


if __name__ == "__main__":
    main()
