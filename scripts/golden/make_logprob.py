"""Writes test/golden/logprob.json: token log-probabilities, entropies, sampling filters."""
import os
from types import SimpleNamespace

import torch
import trl
from transformers import GenerationConfig
from transformers.generation.utils import GenerationMixin
from trl.trainer.utils import entropy_from_logits, selective_log_softmax

from common import ROOT, setup, versions, write_json

FILTERS = [
    {"temperature": 0.7}, {"temperature": 1.6}, {"top_k": 5}, {"top_k": 1}, {"top_p": 0.8}, {"top_p": 0.05},
    {"min_p": 0.1}, {"repetition_penalty": 1.3}, {"repetition_penalty": 0.8}, {"suppress_tokens": [4, 20]},
    {"temperature": 0.7, "top_k": 12, "top_p": 0.9}, {"temperature": 1.6, "top_p": 0.7, "min_p": 0.05},
    {"temperature": 0.9, "top_k": 20, "top_p": 0.95, "min_p": 0.02, "repetition_penalty": 1.2},
    {"temperature": 1.3, "top_k": 9, "top_p": 0.6, "min_p": 0.2, "repetition_penalty": 1.05, "suppress_tokens": [4, 20]},
]
SEEN = [3, 7, 7, 12, 30, 1]


def logprob_cases(generator):
    """Log-probability of the chosen token and entropy, by TRL's helpers, in f64 on f32 logits."""
    logits = torch.randn((6, 37), generator=generator) * 3
    logits[4] *= 12
    logits[5] = torch.randn(37, generator=generator) * 1e-3 + 500
    tokens = torch.randint(0, 37, (6,), generator=generator)
    cases = []
    for temperature in [1.0, 0.7]:
        scaled = logits.double() / temperature
        cases.append({
            "temperature": temperature,
            "logprobs": selective_log_softmax(scaled, tokens).tolist(),
            "entropies": entropy_from_logits(scaled).tolist(),
        })
    slopes = torch.randn((2, 6), generator=torch.Generator().manual_seed(43))
    for case in cases:
        case["gradient"] = gradient(logits, tokens, case["temperature"], *slopes.double())
    return {
        "logits": logits.tolist(), "tokens": tokens.tolist(), "dlogp": slopes[0].tolist(),
        "dentropy": slopes[1].tolist(), "results": cases,
    }


def gradient(logits, tokens, temperature, dlogp, dentropy):
    """Of the sum of dlogp · log-probability + dentropy · entropy, by autograd through TRL's helpers."""
    leaf = logits.double().requires_grad_()
    scaled = leaf / temperature
    (dlogp * selective_log_softmax(scaled, tokens) + dentropy * entropy_from_logits(scaled)).sum().backward()
    return leaf.grad.tolist()


def survivors(row, settings):
    """The processors that generate(do_sample=True) builds, in its order, applied to one row."""
    plain = {"top_k": 0, "top_p": 1.0, "temperature": 1.0, "repetition_penalty": 1.0}
    config = GenerationConfig(do_sample=True, **{**plain, **settings})
    mixin = GenerationMixin()
    mixin.config = SimpleNamespace(is_encoder_decoder=False)
    chain = GenerationMixin._get_logits_processor(mixin, config, input_ids_seq_length=len(SEEN), device="cpu")
    scores = chain(torch.tensor([SEEN]), row[None].clone())[0]
    kept = torch.isfinite(scores).nonzero()[:, 0]
    logprobs = torch.log_softmax(scores.double(), dim=-1)[kept]
    return {
        "settings": settings, "processors": [type(p).__name__ for p in chain],
        "kept": kept.tolist(), "logprobs": logprobs.tolist(),
    }


def filter_cases(generator):
    row = torch.randn(37, generator=generator) * 2
    ties = row.clone()
    order = row.argsort(descending=True)
    ties[order[5]] = ties[order[4]]  # the fifth and the sixth are equal: top_k 5 keeps six
    return {
        "seen": SEEN, "logits": row.tolist(), "cases": [survivors(row, f) for f in FILTERS],
        "ties": {"logits": ties.tolist(), "cases": [survivors(ties, {"top_k": 5})]},
    }


def main():
    setup()
    generator = torch.Generator().manual_seed(41)
    write_json(os.path.join(ROOT, "logprob.json"), {
        "versions": {**versions(), "trl": trl.__version__},
        "logprob": logprob_cases(generator), "filters": filter_cases(generator),
    })


if __name__ == "__main__":
    main()
