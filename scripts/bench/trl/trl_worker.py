"""TRL's half of the comparison, driven by compare.mjs: GRPOTrainer.train() on the CPU, held at the start of every step
until a line comes in on stdin; one line of JSON answers. Usage: trl_worker.py WORKLOAD.json PRECISION SETTINGS"""
import hashlib
import json
import os
import sys
import tempfile
import time

import torch
import transformers
import trl
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor, TrainerCallback
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer


class Processor(Qwen2_5_VLProcessor):
    """With PIL's image processor and none for videos: AutoProcessor needs torchvision for them."""

    def check_argument_for_proper_class(self, name, argument):
        return type(argument)

    @classmethod
    def load(cls, folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        processor = cls(Qwen2VLImageProcessorPil.from_pretrained(folder), tokenizer, None, tokenizer.chat_template)
        return processor


def answer(**event):
    print("@bench " + json.dumps(event), flush=True)


class Stopwatch:
    """Seconds spent in methods of an object, by name."""

    def __init__(self):
        self.seconds = {}

    def add(self, name, seconds):
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def watch(self, owner, method, name):
        inner = getattr(owner, method)

        def timed(*args, **kwargs):
            start = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.add(name, time.perf_counter() - start)

        setattr(owner, method, timed)


class Gate(TrainerCallback):
    """Waits for a line before each step and reports the step before; pictures of the next step are loaded by then."""

    def __init__(self, workload, ready):
        self.workload, self.ready, self.trainer, self.report = workload, ready, None, None
        self.watch = Stopwatch()

    def attach(self, trainer):
        self.trainer = trainer
        self.watch.watch(trainer, "training_step", "training_step")
        self.watch.watch(trainer, "_prepare_inputs", "prepare")
        self.watch.watch(trainer, "_generate_single_turn", "generate")
        self.watch.watch(trainer, "compute_loss", "forward")

    def on_step_begin(self, args, state, control, **kwargs):
        if self.report is None:
            answer(event="ready", **self.ready)
        else:
            answer(event="step", **self.report)
        if not sys.stdin.readline():
            os._exit(0)
        self.watch.seconds = {}
        self.seen = {name: len(values) for name, values in self.trainer._metrics["train"].items()}
        self.start = time.perf_counter()

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        self.before_optimizer = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        end = time.perf_counter()
        watched = self.watch.seconds
        train = watched["training_step"] - watched["prepare"]
        trained = self.start + watched["training_step"]
        self.report = {
            "seconds": {
                "inputs": watched["prepare"] - watched["generate"],
                "generation": watched["generate"],
                "train": train,
                # Clipping lies between the backward pass and the optimizer's own step.
                "optimizer": end - trained,
            },
            "forward": watched["forward"],
            "adamw": end - self.before_optimizer,
            **self.metrics(),
        }

    def metrics(self):
        """Of this step: one entry for each part that completions were generated or trained in."""
        found = {name: values[self.seen.get(name, 0) :] for name, values in self.trainer._metrics["train"].items()}
        lengths = [int(length) for end in ("min", "max") for length in found[f"completions/{end}_length"]]
        return {"lengths": lengths, "entropy": sum(found["entropy"]) / len(found["entropy"])}


def dataset(workload):
    prompt = [{"role": "user", "content": workload["question"]}]
    rows = {"prompt": [prompt for _ in workload["pictures"]], "images": [[file] for file in workload["pictures"]]}
    features = Features(
        {"prompt": List({"role": Value("string"), "content": Value("string")}), "images": List(Image())}
    )
    return Dataset.from_dict(rows, features=features)


def config(workload, precision, settings, suppressed, folder):
    sequences = workload["prompts"] * workload["generations"]
    micro = settings.pop("micro_batch", sequences)
    return GRPOConfig(**{
        "output_dir": folder,
        "use_cpu": True,
        "bf16": precision == "autocast",
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": sequences // micro,
        "num_generations": workload["generations"],
        "max_completion_length": workload["completion"],
        "max_steps": 10**6,
        "temperature": 1.0,
        "beta": 0.0,
        "num_iterations": 1,
        "loss_type": "dapo",
        "learning_rate": workload["learningRate"],
        "lr_scheduler_type": "constant",
        "max_grad_norm": workload["maxGradNorm"],
        "weight_decay": 0.0,
        "gradient_checkpointing": False,
        "generation_kwargs": {"suppress_tokens": suppressed},
        "shuffle_dataset": False,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 10**9,
        "disable_tqdm": True,
        **settings,
    })


def prepare_torch(settings, threads):
    """Takes what is torch's own out of the settings."""
    torch.set_num_threads(settings.pop("threads", threads))
    torch.set_flush_denormal(settings.pop("flush_denormal", False))
    torch.set_float32_matmul_precision(settings.pop("matmul_precision", "highest"))
    torch.backends.mkldnn.enabled = settings.pop("mkldnn", True)
    torch.manual_seed(1)


def compile_layers(model, which):
    """`all`: the layers' forward passes; `train`: only those that are followed by a backward pass."""
    for layer in [*model.model.language_model.layers, *model.model.visual.blocks]:
        layer.forward = compiled(layer.forward, which)


def compiled(forward, which):
    fast = torch.compile(forward, dynamic=True if which == "all" else None)

    def chosen(*args, **kwargs):
        return (fast if which == "all" or torch.is_grad_enabled() else forward)(*args, **kwargs)

    return chosen


def describe(workload, processor, model):
    inputs = []
    for file in workload["pictures"]:
        parts = [{"type": "image", "image": Pictures.open(file)}, {"type": "text", "text": workload["question"]}]
        messages = [{"role": "user", "content": parts}]
        one = processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        tokens = " ".join(str(token) for token in one["input_ids"][0].tolist())
        pixels = one["pixel_values"].abs().mean().item()
        inputs.append({"tokens": hashlib.sha256(tokens.encode()).hexdigest(), "pixels": pixels})
    return {
        "program": f"TRL {trl.__version__}, transformers {transformers.__version__}, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "inputs": inputs,
    }


def main():
    file, precision, settings = sys.argv[1:4]
    with open(file, encoding="utf-8") as source:
        workload = json.load(source)
    settings = json.loads(settings)
    prepare_torch(settings, workload["threads"])
    processor = Processor.load(workload["model"])
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    attention, compiling = settings.pop("attention"), settings.pop("compile", None)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        workload["model"], dtype=dtype, attn_implementation=attention
    )
    if compiling:
        compile_layers(model, compiling)
    # Ends, so that all completions have full length; pictures and videos, because the forward pass dies of them.
    ids = {model.config.image_token_id, model.config.video_token_id, processor.tokenizer.eos_token_id}
    suppressed = sorted(ids | {processor.tokenizer.pad_token_id})
    gate = Gate(workload, describe(workload, processor, model))
    table = workload["rewards"]

    def constant(completions, **kwargs):
        return [table[i % len(table)] for i in range(len(completions))]

    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=constant,
            args=config(workload, precision, settings, suppressed, folder),
            train_dataset=dataset(workload),
            processing_class=processor,
            callbacks=[gate],
        )
        gate.attach(trainer)
        trainer.train()


os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
main()
