"""Writes test/golden/losses.json: TRL's own GRPO losses, their gradients and its advantages."""
import inspect
import os
import textwrap
from collections import defaultdict
from types import SimpleNamespace

import torch
import trl
from trl.trainer import grpo_trainer
from trl.trainer.grpo_trainer import GRPOTrainer

from common import ROOT, setup, versions, write_json

BASE = {
    "loss_type": "grpo", "beta": 0.0, "delta": None, "epsilon": 0.2, "epsilon_high": 0.28,
    "importance_sampling_level": "token", "max_completion_length": 16, "num_items_in_batch": None,
    "gradient_accumulation_steps": 1, "steps_per_generation": 1, "top_entropy_quantile": 1.0,
    "off_policy_mask_threshold": None, "use_bias_correction_kl": False, "inputs": "plain",
    "sapo_temperature_pos": 1.0, "sapo_temperature_neg": 1.05, "vespo_k_pos": 2.0,
    "vespo_lambda_pos": 3.0, "vespo_k_neg": 3.0, "vespo_lambda_neg": 2.0, "entropy_coef": 0.0,
}
CLIPPED = ["grpo", "bnpo", "dr_grpo", "dapo", "luspo"]
TYPES = [*CLIPPED, "cispo", "sapo", "vespo"]


class OneProcess:
    """What _compute_loss asks of accelerate, for a single process."""

    num_processes = 1
    process_index = 0
    sync_gradients = True
    device = torch.device("cpu")

    def gather(self, value):
        return value

    gather_for_metrics = gather

    def reduce(self, value, reduction):
        return value

    def pad_across_processes(self, value, dim, pad_index):
        return value


def make_inputs(lengths, truncated=(), holes=(), old=True, seed=5, reach=1.0):
    """
    Random log-probabilities that f32 holds exactly; padding filled with values that must not matter. `reach`: how far
    the old policy may be; `holes`: tokens within completions that are left out, as those of tools are.
    """
    g = torch.Generator().manual_seed(seed)
    rows, width = len(lengths), max(lengths)
    logps = -torch.rand((rows, width), generator=g) * 4 - 0.05
    difference = (torch.rand((rows, width), generator=g) * 2 - 1) * reach
    reference = torch.rand((rows, width), generator=g) * 2 - 1
    entropies = torch.rand((rows, width), generator=g) * 3
    advantages = torch.tensor([1.2345, -0.75, 0.3125, -1.5, 0.0, 0.6])[:rows]
    mask = (torch.arange(width)[None] < torch.tensor(lengths)[:, None]).long()
    for row in truncated:
        mask[row] = 0
    for row, column in holes:
        mask[row, column] = 0
    return {
        "mask": mask, "logps": logps, "old_logps": (logps - difference) if old else None,
        "ref_logps": logps + reference, "entropies": entropies, "advantages": advantages,
    }


def make_trainer(settings, logps, entropies):
    """A GRPOTrainer that has only what _compute_loss reads."""
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    copied = ["loss_type", "beta", "epsilon_high", "importance_sampling_level", "max_completion_length"]
    for key in copied + ["top_entropy_quantile", "off_policy_mask_threshold", "entropy_coef"]:
        setattr(trainer, key, settings[key])
    trainer.epsilon_low = settings["epsilon"]
    trainer.current_gradient_accumulation_steps = settings["gradient_accumulation_steps"]
    trainer.args = SimpleNamespace(**settings)
    trainer.accelerator = OneProcess()
    trainer.model = SimpleNamespace(training=True)
    trainer._entropy_bonus_enabled = settings["entropy_coef"] != 0.0
    trainer.use_vllm = trainer.use_adaptive_entropy = trainer.aux_loss_enabled = False
    trainer._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (logps, entropies, None)
    return trainer


def compute(settings, inputs, dtype):
    """Loss, its gradients by log-probabilities and by entropies, metrics."""
    cast = lambda value: None if value is None else value.to(dtype)
    logps, entropies = (cast(inputs[key]).clone().requires_grad_() for key in ["logps", "entropies"])
    trainer = make_trainer(settings, logps, entropies)
    mask, empty = inputs["mask"], torch.zeros((len(inputs["mask"]), 1), dtype=torch.long)
    batch = {
        "prompt_ids": empty, "prompt_mask": empty, "completion_ids": torch.zeros_like(mask),
        "completion_mask": mask, "advantages": cast(inputs["advantages"]),
        "old_per_token_logps": cast(inputs["old_logps"]), "ref_per_token_logps": cast(inputs["ref_logps"]),
        "num_items_in_batch": torch.tensor(settings["num_items_in_batch"]),
    }
    loss = trainer._compute_loss(None, batch)
    loss.backward()
    metrics = {key: values[0] for key, values in trainer._metrics["train"].items()}
    return loss.item(), logps.grad, entropies.grad, metrics


def left_out(settings, inputs):
    """How many completions the off-policy mask leaves out, and which tokens the entropy mask keeps."""
    mask, threshold, quantile = inputs["mask"], settings["off_policy_mask_threshold"], settings["top_entropy_quantile"]
    found = {}
    if threshold is not None:
        old = inputs["logps"] if inputs["old_logps"] is None else inputs["old_logps"]
        kept = GRPOTrainer.get_off_policy_mask(inputs["advantages"][:, None], inputs["logps"], old, mask, threshold)
        found["off_policy"] = int((kept == 0).sum())
    if quantile < 1:
        trainer = make_trainer(settings, None, None)
        kept = trainer.get_high_entropy_mask(inputs["entropies"].double(), mask, 1 - quantile)
        found["token_mask"] = kept.int().tolist()
    return found


def variants():
    for loss_type in TYPES:
        # cispo's bound is the ratio itself.
        own = {"loss_type": loss_type, **({"epsilon_high": 2.0} if loss_type == "cispo" else {})}
        kl = {"beta": 0.04, "use_bias_correction_kl": True}
        for level in [{}, {"importance_sampling_level": "sequence"}]:
            yield {**own, **level}
            yield {**own, **level, "beta": 0.04}
            yield {**own, **level, **kl}
            yield {**own, **level, **kl, "inputs": "on_policy"}
            yield {**own, **level, "beta": 0.04, "off_policy_mask_threshold": 0.05}
            yield {**own, **level, **kl, "inputs": "truncated", "entropy_coef": 0.02}
            yield {**own, **level, **kl, "inputs": "holes", "top_entropy_quantile": 0.3}
            if loss_type in CLIPPED:
                yield {**own, **level, "delta": 1.5}
                yield {**own, **level, **kl, "delta": 1.1}
        yield {**own, "top_entropy_quantile": 0.5}
        yield {**own, "beta": 0.04, "top_entropy_quantile": 0.6, "entropy_coef": 0.1, "off_policy_mask_threshold": 0.05}
        yield {
            **own, "beta": 0.04, "num_items_in_batch": 57, "gradient_accumulation_steps": 2, "steps_per_generation": 4,
            "entropy_coef": 0.05,
        }
    yield {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 0.003, "epsilon_high": 0.004}
    yield {"loss_type": "dapo", "top_entropy_quantile": 0.0}
    yield {"loss_type": "dapo", "top_entropy_quantile": 0.2}
    yield {"loss_type": "dapo", "inputs": "on_policy", "off_policy_mask_threshold": 0.01}
    yield {"loss_type": "sapo", "sapo_temperature_pos": 2.5, "sapo_temperature_neg": 0.4}
    yield {"loss_type": "vespo", "inputs": "far"}
    yield {
        "loss_type": "vespo", "vespo_k_pos": 0.5, "vespo_lambda_pos": 0.00001, "vespo_k_neg": 4.0,
        "vespo_lambda_neg": 1.5,
    }


def name_of(changes):
    parts = [f"{key}={value}" for key, value in changes.items() if key != "loss_type" and value is not None]
    return " ".join([changes["loss_type"], *parts])


def rounded(value):
    """Twelve digits are plenty for bounds of 1e-6, and half the bytes."""
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.12g}")


def loss_case(changes, inputs):
    settings = {**BASE, **changes}
    given = inputs[settings["inputs"]]
    if settings["num_items_in_batch"] is None:
        settings["num_items_in_batch"] = int(given["mask"].sum())
    loss, gradient, entropy_gradient, metrics = compute(settings, given, torch.float64)
    single = compute(settings, given, torch.float32)
    assert abs(single[0] - loss) < 2e-6 * max(1, abs(loss)), (changes, single[0], loss)
    scored = given["mask"].sum(-1) > 0
    if not scored.all():
        # A completion that is left out of the loss is left out of the metrics too: TRL counts its ratio of 1 as one
        # that was not clipped.
        rest = {key: None if value is None else value[scored] for key, value in given.items()}
        loss_of_all = {key: value for key, value in metrics.items() if key == "policy_loss"}
        metrics = {**compute(settings, rest, torch.float64)[-1], **loss_of_all}
    case = {"name": name_of(changes), "settings": changes, **left_out(settings, given), "loss": rounded(loss)}
    case["gradient"] = rounded(gradient.tolist())
    if settings["entropy_coef"] != 0:
        case["entropy_gradient"] = rounded(entropy_gradient.tolist())
    case["metrics"] = {key: rounded(value) for key, value in metrics.items()}
    return case


def loss_cases(inputs):
    torch.set_default_dtype(torch.float64)
    cases = [loss_case(changes, inputs) for changes in variants()]
    torch.set_default_dtype(torch.float32)
    assert any(case.get("off_policy") for case in cases), "no completion is off-policy"
    return cases


def trl_advantages(rewards, weights, group, scale, aggregation):
    """Runs, unchanged, the lines of TRL's _generate_and_score_completions between rewards and advantages."""
    source = inspect.getsource(grpo_trainer.GRPOTrainer._generate_and_score_completions)
    start = source.rindex("\n", 0, source.index("unscorable_mask = torch.isnan"))
    end = source.index("# Slice to keep only the local part")
    code = textwrap.dedent(source[start:end])
    trainer = SimpleNamespace(
        multi_objective_aggregation=aggregation, reward_weights=weights, scale_rewards=scale,
        reward_funcs=[None] * rewards.shape[1],
    )
    scope = {
        "torch": torch, "nanstd": grpo_trainer.nanstd, "self": trainer, "device": "cpu",
        "num_generations": group, "rewards_per_func": rewards,
    }
    exec(code, scope)
    return scope["rewards"], scope["advantages"], scope["is_std_zero"]


def advantage_cases():
    nan = float("nan")
    tables = {
        "two rewards, groups of 4": (4, [1.0, 1.0], [[0, 1], [0.5, 0], [2, 1], [1.25, 0], [0, 0], [0, 0], [1, 1], [0.1, 1]]),
        "weights": (3, [0.7, 2.0], [[0.3, 1], [0.9, 0], [0.1, 1], [1, 1], [1, 1], [1, 1]]),
        "missing values": (4, [1.0, 0.5], [[0.2, nan], [nan, 1], [nan, nan], [0.9, 0], [nan, nan], [1, nan], [nan, nan], [nan, nan]]),
        "all missing in a group": (2, [1.0, 1.0], [[nan, nan], [nan, nan], [1, 0], [0.5, nan]]),
        "one reward": (2, [1.0], [[1.0], [0.0], [0.25], [0.25]]),
        "one reward, single group": (5, [1.0], [[0.1], [0.7], [0.7], [1.9], [0.0]]),
    }
    cases = []
    blank = lambda values: [None if v != v else v for v in values]
    for name, (group, weights, rows) in tables.items():
        for aggregation in ["sum_then_normalize", "normalize_then_sum"]:
            scales = ["group", "batch", "none"] if aggregation == "sum_then_normalize" else ["group"]
            for scale in scales:
                rewards = torch.tensor(rows, dtype=torch.float64)
                total, advantages, flat = trl_advantages(
                    rewards, torch.tensor(weights, dtype=torch.float64), group, scale, aggregation
                )
                cases.append({
                    "name": name, "num_generations": group, "reward_weights": weights,
                    "scale_rewards": scale, "multi_objective_aggregation": aggregation,
                    "rewards": [blank(row) for row in rows], "combined": blank(total.tolist()),
                    "advantages": advantages.tolist(), "zero_std": flat.tolist(),
                })
    return cases


def quantile_cases():
    """torch.quantile in f32, whose rounding decides whether a token is just in."""
    g = torch.Generator().manual_seed(10)
    cases = []
    for count in [1, 2, 7, 11, 100]:
        values = torch.rand(count, generator=g) * 3
        quantiles = [0.0, 1 - 0.2, 1 - 0.7, 0.5, 1 / 3, 0.123, 1.0]
        cases.append({
            "values": values.tolist(), "quantiles": quantiles,
            "thresholds": [torch.quantile(values, q).item() for q in quantiles],
        })
    return cases


def main():
    setup()
    inputs = {
        "plain": make_inputs([7, 4, 1, 6, 2]),
        "on_policy": make_inputs([5, 2, 6, 3], old=False, seed=6),
        "truncated": make_inputs([4, 6, 3, 6, 5], truncated=[1, 3], seed=7),
        "holes": make_inputs([5, 7, 4, 6], holes=[(0, 0), (1, 2), (1, 3), (3, 5)], seed=8),
        "far": make_inputs([4, 3, 6, 2, 5], seed=9, reach=25.0),
    }
    listed = {
        name: {key: None if value is None else value.tolist() for key, value in given.items()}
        for name, given in inputs.items()
    }
    result = {
        "versions": {**versions(), "trl": trl.__version__},
        "note": "inputs are f32 values printed exactly; results are TRL's own code run in f64 on them; "
        "settings of a case are changes of the base",
        "inputs": listed, "base": BASE, "cases": loss_cases(inputs), "advantages": advantage_cases(),
        "quantiles": quantile_cases(),
    }
    write_json(os.path.join(ROOT, "losses.json"), result)
    print(len(result["cases"]), "losses,", len(result["advantages"]), "advantage cases")


if __name__ == "__main__":
    main()
