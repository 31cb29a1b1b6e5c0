"""One case, trained here and by TRL, and how far the two are apart."""
import math
import os

import torch
from peft import PeftModel
from safetensors.torch import load_file

from checkpoints.compare import DATA, norm_differences, open_folder
from checkpoints.program import call
from checkpoints.table import relative_error
from common import ROOT, named_parameters, read_json, write_json
from oracle import read_rows
from peft_adapters import make
from tiny_models import load
from training.replay import replay, weights
from training.trace import expected_steps, expected_updates

DRIVER, REWARDS = (os.path.join(os.path.dirname(__file__), name) for name in ("run-training.mjs", "rewards.mjs"))
# What TRL logs that has no meaning here.
FOREIGN = ("step_time",)
# A loss is a mean in which advantages cancel, down to nothing where all completions are equally long: its error is
# relative to at least this.
LEAST_LOSS = 0.01


def adapter_settings(case, out):
    everywhere = {"lora_vision": True, "lora_merger": True}
    if case.adapter == "fresh":
        return {"use_peft": True, "lora_r": 4, "lora_alpha": 8, **everywhere, "train_adapter": True}
    if case.adapter == "trained":
        given = os.path.join(out, "given")
        make(case.folder(), given, layers="all")
        return {"adapter": given, "train_adapter": True}
    return {}


def run_program(case, out):
    """Trains with the built program; its trace."""
    path, data, trace = (os.path.join(out, f"{name}.json") for name in ("case", "conversations", "trace"))
    write_json(data, case.rows())
    write_json(path, {
        "model": case.folder(),
        "dataset": data,
        "image_folders": [ROOT],
        "shuffle_dataset": False,
        "precision": "f32",
        **case.shared(),
        "rewards": [f"{REWARDS}#{name}" for name in case.rewards],
        "max_steps": case.steps,
        "prompts_per_step": case.prompts_per_step,
        **adapter_settings(case, out),
    })
    call(path, out, script=DRIVER)
    return read_json(trace)


def numbers(values):
    return [math.nan if value is None else value for value in values]


def worst_error(have, want, least=0.0):
    """Largest difference over the largest number, or over `least`; what is missing must be missing on both sides."""
    have, want = (torch.tensor(numbers(values), dtype=torch.float64) for values in (have, want))
    if have.shape != want.shape or not torch.equal(have.isnan(), want.isnan()):
        return math.nan
    have, want = have[~have.isnan()], want[~want.isnan()]
    if torch.equal(have, want):
        return 0.0
    return float((have - want).abs().max() / want.abs().max().clamp(min=least))


def rollout_errors(case, trace, trainer):
    """Errors of rewards and of advantages, and whether the texts are equal."""
    ours = [completion for step in trace["steps"] for completion in step["completions"]]
    theirs = trainer.rollouts
    failures = []
    if [completion["completion"] for completion in ours] != [text for one in theirs for text in one["texts"]]:
        failures.append("TRL decodes other texts")
    if "brevity" in case.rewards and all(completion["rewards"]["brevity"] is not None for completion in ours):
        failures.append("the reward always applies")
    rewards = max(
        worst_error([completion["rewards"][name] for completion in ours], sum((r["rewards"][name] for r in theirs), []))
        for name in case.rewards
    )
    advantages = worst_error(
        [completion["advantage"] for completion in ours], sum((r["advantages"] for r in theirs), [])
    )
    return max(rewards, advantages), failures


def least_of(name):
    return LEAST_LOSS if name in ("loss", "policy_loss") else 0.0


def metric_errors(case, trace, expected):
    """The largest error of a metric, its name, and metrics that one side alone has."""
    names = sorted({name for step in expected for name in step} - {*FOREIGN, *case.apart})
    errors, failures = {}, []
    for name in names:
        have = [step["metrics"].get(name, "missing") for step in trace["steps"]]
        if "missing" in have:
            failures.append(f"no metric {name}")
        else:
            errors[name] = worst_error(have, [step.get(name) for step in expected], least_of(name))
    for name in case.seen:
        if not any(step["metrics"].get(name) for step in trace["steps"]):
            failures.append(f"{name} is always 0")
    worst = max(errors, key=lambda name: math.inf if math.isnan(errors[name]) else errors[name])
    return errors[worst], worst, failures


def tensors(case, out, moment):
    if case.adapter is not None:
        return load_file(os.path.join(out, moment, "adapter_model.safetensors"))
    return named_parameters(load(case.folder() if moment == "start" else os.path.join(out, moment)))


def weight_errors(case, trainer, out):
    """Of what training did to each tensor: the largest relative error of its norm, the lowest cosine."""
    start, end, theirs = tensors(case, out, "start"), tensors(case, out, "end"), weights(case, trainer)
    if set(start) != set(theirs):
        return math.nan, math.nan, [f"on one side only: {sorted(set(start) ^ set(theirs))[:8]}"]
    have = {name: end[name].detach() - before.detach() for name, before in start.items()}
    want = {name: theirs[name].detach() - before.detach() for name, before in start.items()}
    return norm_differences(have, want)


@torch.no_grad()
def answers(case, model):
    """Log-probabilities of the answers in the data."""
    oracle = open_folder(case.folder())
    oracle.model, found = model.eval(), []
    for row in read_rows(DATA):
        prompt, vision, _ = oracle.prompt(row)
        answer = oracle.tokenizer(oracle.messages(row)[1], add_special_tokens=False)["input_ids"]
        found.append(oracle.logprobs(prompt, answer, vision))
    return torch.cat(found)


def answer_error(case, trainer, out):
    """Of what training did to the log-probabilities of answers that are no part of it."""

    def model(moment):
        folder = os.path.join(out, moment)
        if case.adapter is not None:
            return PeftModel.from_pretrained(load(case.folder()), folder)
        return load(case.folder() if moment == "start" else folder)

    before = answers(case, model("start"))
    return relative_error(answers(case, model("end")) - before, answers(case, trainer.model) - before)


def compare(case, out, changes=None):
    """Errors by what is compared, the name of the worst metric, and failures. `changes`: settings of TRL alone."""
    trace = run_program(case, out)
    trainer = replay(case, changes or {}, trace, out)
    settings = {**case.shared(), **(changes or {})}
    updates = expected_updates(trainer, settings)
    ours = trace["updates"]
    rollout, failures = rollout_errors(case, trace, trainer)
    metrics, metric, missing = metric_errors(case, trace, expected_steps(trainer, settings))
    change, cosine, differ = weight_errors(case, trainer, out)
    errors = {
        "rewards, advantages": rollout,
        **{
            name: worst_error([one[name] for one in ours], [one[name] for one in updates], least_of(name))
            for name in ("loss", "grad_norm")
        },
        "metrics": metrics,
        "Δ weights": change,
        "1 − cosine": 1 - cosine,
        "Δ log-probabilities": answer_error(case, trainer, out),
    }
    return errors, metric, failures + missing + differ
