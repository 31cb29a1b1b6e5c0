"""Torch's half of the comparison of kernels, driven by compare.mjs: for every line of JSON on stdin one repetition is
made and one line of JSON answers. native/bench/torch/main.cpp is the other half. Usage: worker.py THREADS"""
import json
import sys
import time

import numpy as np
import torch
import transformers
from torch.nn import functional as F
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLDecoderLayer, Qwen2_5_VLRotaryEmbedding

EPS = 1e-6
SEED_GRADIENT = 1000
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
# In the order of the other half: the seed of each is its place.
PARAMETERS = [
    "input_layernorm.weight",
    "self_attn.q_proj.weight",
    "self_attn.q_proj.bias",
    "self_attn.k_proj.weight",
    "self_attn.k_proj.bias",
    "self_attn.v_proj.weight",
    "self_attn.v_proj.bias",
    "self_attn.o_proj.weight",
    "post_attention_layernorm.weight",
    "mlp.gate_proj.weight",
    "mlp.up_proj.weight",
    "mlp.down_proj.weight",
]


def uniform(seed, count):
    """The same bits as native/bench/torch/inputs.h."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed * 40503 % 2**32)
    for _ in range(2):
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x45D9F3B)
    x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24) - np.float32(0.5)


def random(seed, shape, scale, offset=0.0):
    values = np.float32(offset) + np.float32(scale) * uniform(seed, int(np.prod(shape)))
    return torch.from_numpy(values.reshape(shape))


def norm(x):
    return torch.linalg.vector_norm(x.detach().double()).item()


class Recorded:
    """Forward and backward of something that autograd records."""

    def __init__(self, inputs, body, parameters=(), gradient=None):
        self.inputs = [x.requires_grad_() for x in inputs]
        self.body, self.parameters, self.gradient = body, list(parameters), gradient

    def run(self):
        for x in [*self.inputs, *self.parameters]:
            x.grad = None
        start = time.perf_counter()
        out = self.body(*self.inputs)
        forward = time.perf_counter() - start
        if self.gradient is None:
            self.gradient = random(SEED_GRADIENT, out.shape, 1.0).to(out.dtype)
        start = time.perf_counter()
        out.backward(self.gradient)
        backward = time.perf_counter() - start
        norms = [norm(out), *(norm(x.grad) for x in self.inputs)]
        return {"forward": forward, "backward": backward}, norms


def layer(spec):
    dtype = TYPES[spec["precision"]]
    half = spec["width"] // spec["heads"] // 2
    section = half * 3 // 8
    config = Qwen2_5_VLTextConfig(
        vocab_size=1,
        hidden_size=spec["width"],
        num_hidden_layers=1,
        num_attention_heads=spec["heads"],
        num_key_value_heads=spec["kvHeads"],
        intermediate_size=spec["inner"],
        max_position_embeddings=spec["tokens"],
        rms_norm_eps=EPS,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [half - 2 * section, section, section],
        },
    )
    config._attn_implementation = "sdpa"
    module = Qwen2_5_VLDecoderLayer(config, 0)
    named = dict(module.named_parameters())
    assert sorted(named) == sorted(PARAMETERS), sorted(named)
    with torch.no_grad():
        for seed, name in enumerate(PARAMETERS, 1):
            offset = 1.0 if name.endswith("layernorm.weight") else 0.0
            named[name].copy_(random(seed, tuple(named[name].shape), 0.0625, offset))
    module = module.to(dtype).train()
    x = random(0, (1, spec["tokens"], spec["width"]), 2.0).to(dtype)
    positions = torch.arange(spec["tokens"]).expand(3, 1, -1)
    rope = Qwen2_5_VLRotaryEmbedding(config)(x, positions)

    def body(x):
        return module(x, position_embeddings=rope, position_ids=positions)

    return Recorded([x], body, module.parameters())


def attention(spec):
    size, tokens = spec["headSize"], spec["tokens"]
    counts = [spec["heads"], spec["kvHeads"], spec["kvHeads"]]
    inputs = [random(i, (1, tokens, n * size), 2.0).to(TYPES[spec["precision"]]) for i, n in enumerate(counts, 1)]

    def body(q, k, v):
        q, k, v = (x.view(1, tokens, -1, size).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1])

    # The other half has a token's heads side by side, in the gradient too.
    gradient = random(SEED_GRADIENT, (1, tokens, spec["heads"], size), 1.0).to(TYPES[spec["precision"]])
    return Recorded(inputs, body, gradient=gradient.transpose(1, 2))


def rms_norm(spec):
    inputs = [random(1, (spec["tokens"], spec["width"]), 2.0), random(2, (spec["width"],), 0.0625, 1.0)]
    return Recorded(inputs, lambda x, weight: F.rms_norm(x, (spec["width"],), weight, EPS))


def swiglu(spec):
    shape = (spec["tokens"], spec["width"])
    return Recorded([random(1, shape, 4.0), random(2, shape, 4.0)], lambda gate, up: F.silu(gate) * up)


def logprob(spec):
    rows, vocab = spec["rows"], spec["vocab"]
    target = (torch.arange(rows) * 7919 % vocab)[:, None]
    return Recorded(
        [random(1, (rows, vocab), 8.0)], lambda logits: F.log_softmax(logits, -1).gather(-1, target).squeeze(-1)
    )


class AdamW:
    def __init__(self, spec):
        self.value = random(1, (spec["elements"],), 1.0).requires_grad_()
        self.value.grad = random(2, (spec["elements"],), 1.0)
        self.optimizer = torch.optim.AdamW([self.value], lr=1e-3, weight_decay=0.0, fused=True)

    def run(self):
        start = time.perf_counter()
        self.optimizer.step()
        return {"update": time.perf_counter() - start}, [norm(self.value)]


CASES = {
    "layer": layer,
    "attention": attention,
    "rms_norm": rms_norm,
    "swiglu": swiglu,
    "logprob": logprob,
    "adamw": AdamW,
}


def answer(**event):
    print("@bench " + json.dumps(event), flush=True)


def main():
    torch.set_num_threads(int(sys.argv[1]))
    answer(event="ready", program=f"torch {torch.__version__}, transformers {transformers.__version__}")
    prepared, case = None, None
    for line in sys.stdin:
        if line != prepared:
            case = None  # its memory, first
            spec = json.loads(line)
            case = CASES[spec["kind"]](spec)
            prepared = line
        seconds, norms = case.run()
        answer(event="step", seconds=seconds, norms=norms)


main()
