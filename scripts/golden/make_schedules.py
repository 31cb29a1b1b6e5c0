"""Writes test/golden/schedules.json: learning rates of transformers' schedulers, step by step."""
import os

import torch
import transformers

from common import ROOT, write_json

LEARNING_RATE = 2e-4
# kind, steps of the warm-up, of the run, settings
CASES = [
    ("constant", 0, 12, {}),
    ("constant_with_warmup", 0, 12, {}),
    ("constant_with_warmup", 4, 12, {}),
    ("linear", 0, 12, {}),
    ("linear", 3, 12, {}),
    ("linear", 12, 12, {}),
    ("cosine", 0, 12, {}),
    ("cosine", 3, 20, {"num_cycles": 1.5}),
    ("cosine_with_restarts", 2, 20, {}),
    ("cosine_with_restarts", 0, 20, {"num_cycles": 3}),
    ("cosine_with_min_lr", 2, 20, {"min_lr": 1e-5}),
    ("cosine_with_min_lr", 0, 20, {"min_lr_rate": 0.1, "num_cycles": 1}),
    ("polynomial", 0, 12, {}),
    ("polynomial", 4, 20, {"lr_end": 1e-5, "power": 2.0}),
    ("polynomial", 1, 12, {"power": 0.5}),
    ("inverse_sqrt", 0, 20, {}),
    ("inverse_sqrt", 5, 20, {}),
    ("inverse_sqrt", 5, 20, {"timescale": 3}),
    ("warmup_stable_decay", 3, 20, {"num_decay_steps": 6}),
    ("warmup_stable_decay", 3, 20, {"num_decay_steps": 6, "num_stable_steps": 4, "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", 4, 20, {"num_decay_steps": 8, "decay_type": "1-sqrt", "warmup_type": "cosine"}),
    ("warmup_stable_decay", 4, 20, {"num_decay_steps": 8, "decay_type": "linear", "warmup_type": "1-sqrt", "min_lr_ratio": 0.2}),
    ("warmup_stable_decay", 0, 20, {"num_decay_steps": 10, "num_cycles": 1.5}),
    ("warmup_stable_decay", 6, 8, {"num_decay_steps": 6}),
]


def rates(kind, warmup, total, settings, groups):
    """Per step 0 … total + 2, per group of parameters: the learning rate that an update uses."""
    parameters = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in groups]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE)
    scheduler = transformers.get_scheduler(kind, optimizer, warmup, total, settings)
    found = []
    for _ in range(total + 3):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return found


def main():
    cases = []
    for kind, warmup, total, settings in CASES:
        # A second group with a rate of its own, as a vision tower may have: the schedule is computed of the first one.
        both = rates(kind, warmup, total, settings, [LEARNING_RATE, LEARNING_RATE / 4])
        cases.append({
            "kind": kind, "warmup_steps": warmup, "total_steps": total, "kwargs": settings,
            "rates": [first for first, _ in both], "second": [second for _, second in both],
        })
    write_json(os.path.join(ROOT, "schedules.json"), {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "learning_rate": LEARNING_RATE, "second_learning_rate": LEARNING_RATE / 4, "cases": cases,
    })


if __name__ == "__main__":
    main()
