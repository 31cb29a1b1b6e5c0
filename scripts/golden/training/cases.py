"""What is trained: a name, and settings by TRL's names, which are this project's too."""
import os
from dataclasses import dataclass, field

from checkpoints.compare import DATA
from common import ROOT
from oracle import read_rows

# AdamW divides by the root of the second moment: with the usual epsilon of 1e-8 the smallest gradients, which are
# rounding noise, become steps of full size, and two equal trainers end far apart. With this one they stay small. The
# learning rate is high, so that the policy moves enough for ratios to be clipped.
BASE = {
    "learning_rate": 0.01,
    "adam_epsilon": 1e-2,
    "lr_scheduler_type": "constant",
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
    "num_generations": 4,
    "max_completion_length": 24,
}


@dataclass(frozen=True)
class Case:
    name: str
    settings: dict = field(default_factory=dict)
    rewards: tuple = ("letters",)
    # A folder of test/golden.
    model: str = "qwen2_5_vl_a"
    # Rollouts; each is gone through in one or several updates.
    steps: int = 3
    prompts_per_step: int = 4
    # Leaves out the question without a picture: transformers fails on a micro-batch in which none has one.
    pictures_only: bool = False
    # Metrics that must be other than 0 in some step: the run comes by what it is to show.
    seen: tuple = ()
    # Metrics that are documented to differ.
    apart: tuple = ()
    # None: all weights; else "fresh" or "trained": an adapter of its own, or one that was there before.
    adapter: str | None = None

    def shared(self):
        return {**BASE, **self.settings}

    def folder(self):
        return os.path.join(ROOT, self.model)

    def rows(self):
        """Questions, in the order in which they are taken, over and over."""
        return [row for row in read_rows(DATA) if row.get("image") or not self.pictures_only]

    def sequences(self):
        """Completions of a micro-batch."""
        return self.prompts_per_step * self.shared()["num_generations"]


def updates_of(settings):
    """Updates that are made of one rollout, as TRL counts: its settings, not this project's."""
    accumulation = settings.get("gradient_accumulation_steps", 1)
    return settings.get("steps_per_generation", accumulation) * settings.get("num_iterations", 1) // accumulation


CLIPPED = ("clip_ratio/low_mean", "clip_ratio/high_mean")
TWICE = {"num_iterations": 2}
KL = {"beta": 0.04}
BY_COMPLETION = {"importance_sampling_level": "sequence"}
# Two micro-batches an update, two updates a pass, two passes. A micro-batch is one group: TRL's accumulation window
# holds whole groups then, and means over micro-batches of equal size are means over the update.
SEVERAL = {"gradient_accumulation_steps": 2, "steps_per_generation": 4, "num_iterations": 2}
GROUPS = {"prompts_per_step": 1, "pictures_only": True}

CASES = [
    Case("one update per rollout (dapo)"),
    Case("temperature 0.7, linear schedule after a warm-up",
         {"temperature": 0.7, "lr_scheduler_type": "linear", "warmup_steps": 1}, steps=4),
    Case("cosine schedule, weight decay", {"lr_scheduler_type": "cosine", "weight_decay": 0.1}, steps=4),
    Case("adam_beta1 0.8, adam_beta2 0.9, adam_epsilon 0.001",
         {"adam_beta1": 0.8, "adam_beta2": 0.9, "adam_epsilon": 1e-3, "learning_rate": 5e-3}, steps=4),
    Case("no clipping of gradients", {"max_grad_norm": 0.0, "learning_rate": 5e-3}),
    Case("top_k 40, top_p 0.9, repetition_penalty 1.2",
         {"top_k": 40, "top_p": 0.9, "repetition_penalty": 1.2, **TWICE}, seen=CLIPPED),
    Case("gradient_accumulation_steps 2", {"gradient_accumulation_steps": 2}, prompts_per_step=2),
    Case("num_iterations 2", TWICE, seen=CLIPPED),
    Case("two updates of a rollout, each gone through twice", SEVERAL, **GROUPS,
         seen=CLIPPED),
    Case("epsilon 0.1, epsilon_high 0.15", {**TWICE, "epsilon": 0.1, "epsilon_high": 0.15}, seen=CLIPPED),
    Case("delta 1.3", {**TWICE, "delta": 1.3}, seen=CLIPPED),
    Case("beta 0.04", KL, seen=("kl",)),
    Case("beta 0.04, num_iterations 2", {**KL, **TWICE}, seen=("kl",)),
    Case("beta 0.04, num_iterations 2, no bias correction", {**KL, **TWICE, "use_bias_correction_kl": False},
         seen=("kl",)),
    Case("sync_ref_model, α 0.6, every 2 steps",
         {**KL, "sync_ref_model": True, "ref_model_mixup_alpha": 0.6, "ref_model_sync_steps": 2}, steps=5,
         seen=("kl",)),
    Case("scale_rewards batch", {"scale_rewards": "batch"}),
    Case("scale_rewards batch, two updates of a rollout, each gone through twice",
         {"scale_rewards": "batch", **SEVERAL}, **GROUPS, seen=CLIPPED),
    Case("scale_rewards none", {"scale_rewards": "none"}),
    Case("two rewards with weights, one does not always apply", {"reward_weights": [1.0, 0.4]},
         rewards=("letters", "brevity")),
    Case("one reward that does not always apply", rewards=("brevity",), apart=("entropy",)),
    Case("a group without advantage, which is left out here", rewards=("indifferent",),
         seen=("frac_reward_zero_std", "frac_groups_skipped"), apart=("entropy",)),
    Case("mask_truncated_completions",
         {"mask_truncated_completions": True, "max_completion_length": 48, "num_generations": 8,
          "learning_rate": 0.005},
         seen=("completions/clipped_ratio", "completions/mean_terminated_length")),
    Case("mask_truncated_completions, two updates of a rollout, each gone through twice",
         {"mask_truncated_completions": True, "max_completion_length": 48, "num_generations": 16,
          "learning_rate": 0.005, **SEVERAL},
         **GROUPS, seen=("completions/clipped_ratio", "completions/mean_terminated_length")),
    Case("grpo", {"loss_type": "grpo", **TWICE}, seen=CLIPPED),
    Case("grpo, two micro-batches", {"loss_type": "grpo", **SEVERAL}, **GROUPS,
         seen=CLIPPED),
    Case("bnpo", {"loss_type": "bnpo", **TWICE}, seen=CLIPPED),
    Case("dr_grpo", {"loss_type": "dr_grpo", **TWICE}, seen=CLIPPED),
    Case("grpo by completion (GSPO)", {"loss_type": "grpo", **TWICE, **BY_COMPLETION}, seen=CLIPPED),
    Case("luspo by completion", {"loss_type": "luspo", **TWICE, **BY_COMPLETION}, seen=CLIPPED),
    Case("luspo by completion, two micro-batches, beta 0.04",
         {"loss_type": "luspo", **SEVERAL, **BY_COMPLETION, **KL}, **GROUPS, seen=("kl",)),
    Case("dapo by completion, delta", {**TWICE, **BY_COMPLETION, "delta": 1.01}, seen=("clip_ratio/low_mean",)),
    Case("cispo", {"loss_type": "cispo", "epsilon_high": 1.2, **TWICE}, seen=("cispo_clip_ratio",)),
    Case("sapo", {"loss_type": "sapo", **TWICE}),
    Case("sapo, other temperatures, two micro-batches",
         {"loss_type": "sapo", "sapo_temperature_pos": 0.7, "sapo_temperature_neg": 2.0, **SEVERAL},
         **GROUPS),
    Case("vespo", {"loss_type": "vespo", **TWICE}, seen=("vespo/phi_seq_mean",)),
    Case("vespo, other k and λ, two micro-batches",
         {"loss_type": "vespo", "vespo_k_pos": 1.0, "vespo_lambda_pos": 2.0, "vespo_k_neg": 2.0,
          "vespo_lambda_neg": 1.5, **SEVERAL},
         **GROUPS, seen=("vespo/phi_seq_mean",)),
    Case("entropy_coef", {"entropy_coef": 0.05, **TWICE}, seen=("policy_loss",)),
    Case("use_adaptive_entropy",
         {"use_adaptive_entropy": True, "entropy_coef": 0.05, "entropy_coef_delta": 0.02, "entropy_target": 3.0,
          **TWICE},
         seen=("entropy_coef",)),
    Case("top_entropy_quantile 0.3", {"top_entropy_quantile": 0.3, **TWICE}, seen=CLIPPED),
    Case("top_entropy_quantile 0.3, entropy_coef, beta",
         {"top_entropy_quantile": 0.3, "entropy_coef": 0.05, **KL, **TWICE},
         seen=("kl",)),
    Case("off_policy_mask_threshold", {"off_policy_mask_threshold": 0.02, **TWICE}, seen=("off_policy_mask_ratio",)),
    Case("multi_objective_aggregation normalize_then_sum (GDPO)",
         {"multi_objective_aggregation": "normalize_then_sum", "reward_weights": [1.0, 0.4]},
         rewards=("letters", "brevity")),
    Case("LoRA, fresh: the reference is the model without it", {**KL, **TWICE}, seen=("kl",), adapter="fresh"),
    Case("LoRA, trained before: the reference is the adapter as it was", {**KL, **TWICE}, seen=("kl",),
         adapter="trained"),
    Case("Qwen2.5-VL with its own head, as published", {**KL, **TWICE}, model="qwen2_5_vl_b", seen=("kl",)),
    Case("Qwen2-VL", {**KL, **TWICE}, model="qwen2_vl_a", seen=("kl",)),
]

# Settings that TRL alone is given: the comparison must notice.
CONTROLS = [
    ("one update per rollout (dapo)", {"adam_epsilon": 1.01e-2}),
    ("one update per rollout (dapo)", {"max_grad_norm": 0.99}),
    ("one update per rollout (dapo)", {"loss_type": "grpo"}),
    ("one update per rollout (dapo)", {"temperature": 1.01}),
    ("temperature 0.7, linear schedule after a warm-up", {"lr_scheduler_type": "cosine"}),
    ("cosine schedule, weight decay", {"weight_decay": 0.11}),
    ("adam_beta1 0.8, adam_beta2 0.9, adam_epsilon 0.001", {"adam_beta2": 0.91}),
    ("gradient_accumulation_steps 2", {"gradient_accumulation_steps": 1, "steps_per_generation": 2}),
    ("num_iterations 2", {"num_iterations": 1}),
    ("num_iterations 2", {"epsilon": 0.19}),
    ("delta 1.3", {"delta": 1.5}),
    ("beta 0.04", {"beta": 0.041}),
    ("beta 0.04, num_iterations 2", {"use_bias_correction_kl": False}),
    ("sync_ref_model, α 0.6, every 2 steps", {"ref_model_mixup_alpha": 0.59}),
    ("scale_rewards batch", {"scale_rewards": "group"}),
    ("two rewards with weights, one does not always apply", {"reward_weights": [1.0, 0.41]}),
    ("mask_truncated_completions", {"mask_truncated_completions": False}),
    ("grpo by completion (GSPO)", {"importance_sampling_level": "token"}),
    ("cispo", {"epsilon_high": 1.21}),
    ("sapo", {"sapo_temperature_neg": 1.1}),
    ("vespo", {"vespo_lambda_pos": 3.1}),
    ("entropy_coef", {"entropy_coef": 0.051}),
    ("use_adaptive_entropy", {"entropy_coef_delta": 0.021}),
    ("top_entropy_quantile 0.3", {"top_entropy_quantile": 0.31}),
    ("off_policy_mask_threshold", {"off_policy_mask_threshold": None}),
    ("multi_objective_aggregation normalize_then_sum (GDPO)", {"multi_objective_aggregation": "sum_then_normalize"}),
    ("LoRA, fresh: the reference is the model without it", {"beta": 0.041}),
    ("LoRA, trained before: the reference is the adapter as it was", {"beta": 0.041}),
]
