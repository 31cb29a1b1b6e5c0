"""One folder: the program's log-probabilities, generations and gradients, and transformers'."""
import os

import torch
from safetensors.torch import load_file
from transformers import GenerationConfig

from checkpoints.program import generate, score
from checkpoints.table import relative_error
from common import ROOT, named_parameters
from oracle import Oracle, pair, read_rows

DATA = os.path.join(ROOT, "conversations.json")
LOGITS_BOUND = 2e-5
GRADIENT_BOUND = 1e-4
NEW_TOKENS = 24


def open_folder(folder):
    """The folder as transformers opens it, in f32 whatever is stored."""
    return Oracle(folder, ROOT)


@torch.no_grad()
def logprobs_difference(oracle, results):
    """Relative error over all rows of the data, and what else is not as transformers has it."""
    have, want, failures = [], [], list(oracle.loading_problems)
    for key, row, result in pair(read_rows(DATA), results):
        prompt, vision, _ = oracle.prompt(row)
        _, answer = oracle.messages(row)
        expected = oracle.tokenizer(answer, add_special_tokens=False)["input_ids"]
        if result["token_ids"][: len(expected)] != expected:
            failures.append(f"{key}: answer tokens {result['token_ids']}, expected {expected} and an end")
        have += result["logprobs"]
        want += oracle.logprobs(prompt, result["token_ids"], vision).tolist()
    if len(results) != len(read_rows(DATA)):
        failures.append(f"{len(results)} rows of {len(read_rows(DATA))}")
    return relative_error(have, want), failures


@torch.no_grad()
def autocast_error(oracle, results):
    """What products in bf16 do to transformers' own log-probabilities of the same tokens: relative error."""
    have, want = [], []
    for _, row, result in pair(read_rows(DATA), results):
        prompt, vision, _ = oracle.prompt(row)
        want += oracle.logprobs(prompt, result["token_ids"], vision).tolist()
        with torch.autocast("cpu", torch.bfloat16):
            have += oracle.logprobs(prompt, result["token_ids"], vision).float().tolist()
    return relative_error(have, want)


def generation_settings(folder, oracle):
    """As transformers reads them of the folder, greedy, pictures' tokens suppressed."""
    if os.path.exists(os.path.join(folder, "generation_config.json")):
        settings = GenerationConfig.from_pretrained(folder)
    else:
        settings = GenerationConfig.from_model_config(oracle.model.config)
    config = oracle.model.config
    settings.update(
        do_sample=False, temperature=1.0, top_k=50, top_p=1.0, max_new_tokens=NEW_TOKENS,
        suppress_tokens=[config.image_token_id, config.video_token_id], pad_token_id=0,
    )
    return settings


@torch.no_grad()
def expected_tokens(oracle, prompt, vision, settings):
    out = oracle.model.generate(**oracle.inputs(prompt, vision), generation_config=settings)
    return out[0, len(prompt) :].tolist()


def single_turns(oracle):
    """Questions of one turn, with 1, 2 and no pictures."""
    for row in read_rows(DATA):
        if len(row["conversations"]) > 2:
            continue
        prompt, vision, _ = oracle.prompt(row)
        images = row.get("image") or []
        paths = [os.path.join(ROOT, file) for file in ([images] if isinstance(images, str) else images)]
        yield row["id"], row["conversations"][0]["value"], paths, prompt, vision


def a_token_on_the_way(oracle, folder):
    """One that the greedy generation to the first question comes by."""
    _, _, _, prompt, vision = next(single_turns(oracle))
    return expected_tokens(oracle, prompt, vision, generation_settings(folder, oracle))[6]


def greedy_difference(oracle, folder):
    """What was compared, in words, and the failures."""
    settings, failures, tokens, ended = generation_settings(folder, oracle), [], 0, 0
    for key, question, images, prompt, vision in single_turns(oracle):
        result = generate(folder, question, images, "--max-new-tokens", NEW_TOKENS)
        want = expected_tokens(oracle, prompt, vision, settings)
        if result["prompt_token_ids"] != prompt:
            failures.append(f"{key}: another prompt")
        if result["token_ids"] != want:
            failures.append(f"{key}: greedy {result['token_ids']}, expected {want}")
        tokens += len(want)
        ended += result["finish_reason"] == "stop"
    return f"{tokens} greedy tokens ({ended} of 3 ended by a token)", failures


def compare_folder(oracle, folder):
    """Error of the log-probabilities, a description, failures."""
    error, failures = logprobs_difference(oracle, score(folder, DATA))
    text, wrong = greedy_difference(oracle, folder)
    return error, f"log-probabilities; {text} equal", failures + wrong


def norm_differences(have, want):
    """Tensors by name: the largest relative error of a tensor's norm, the lowest cosine, failures."""
    if set(have) != set(want):
        return float("nan"), float("nan"), [f"on one side only: {sorted(set(have) ^ set(want))[:8]}"]
    pairs = [(have[name].detach().double().flatten(), want[name].detach().double().flatten()) for name in want]
    # Tensors keep a NaN, where max() of Python may lose it.
    errors = torch.stack([(a - b).norm() / b.norm() for a, b in pairs])
    cosines = torch.stack([a @ b / (a.norm() * b.norm()) for a, b in pairs])
    return float(errors.max()), float(cosines.min()), []


def backward(oracle, results):
    """Gradients of the mean negative log-likelihood over all answers, on the oracle's model."""
    oracle.model.zero_grad()
    total = sum(len(result["token_ids"]) for result in results)
    for _, row, result in pair(read_rows(DATA), results):
        prompt, vision, _ = oracle.prompt(row)
        (-oracle.logprobs(prompt, result["token_ids"], vision).sum() / total).backward()


def compare_gradients(oracle, folder, scratch):
    path = os.path.join(scratch, "gradients.safetensors")
    results = score(folder, DATA, "--gradients", path)
    backward(oracle, results)
    given = load_file(path)
    expected = {name: p.grad for name, p in named_parameters(oracle.model).items()}
    worst, lowest, failures = norm_differences(given, expected)
    return worst, f"gradients of {len(given)} parameters, lowest cosine {lowest:.9f}", failures
