"""What TRL's trainer noted, in the form in which the program reports: per update and per rollout."""
import math

from training.cases import updates_of

LEAST, GREATEST, LAST = ("clip_ratio/low_min",), ("clip_ratio/high_max",), ("entropy_coef",)
OF_COMPLETIONS = ("vespo/phi_seq_mean", "policy_loss")


def expected_updates(trainer, settings):
    """Loss and gradient norm of each update of the optimizer."""
    accumulation = settings.get("gradient_accumulation_steps", 1)
    losses = [micro_batch["loss"] for micro_batch in trainer.micro_batches]
    logged = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    return [
        {"loss": sum(losses[at * accumulation : (at + 1) * accumulation]), "grad_norm": entry["grad_norm"],
         "learning_rate": entry["learning_rate"]}
        for at, entry in enumerate(logged)
    ]


def weight(micro_batch, name, settings):
    """How much a micro-batch's mean counts in the mean of all."""
    by_completion = settings.get("importance_sampling_level") == "sequence" and name.startswith("clip_ratio/")
    return micro_batch["sequences" if by_completion or name in OF_COMPLETIONS else "tokens"]


def together(name, micro_batches, settings):
    """A metric over several micro-batches, of which TRL logs each by itself."""
    pairs = [(one["metrics"][name], weight(one, name, settings)) for one in micro_batches if name in one["metrics"]]
    pairs = [(value, count) for value, count in pairs if not math.isnan(value)]
    values = [value for value, _ in pairs]
    if not values:
        return math.nan
    if name in LEAST:
        return min(values)
    if name in GREATEST:
        return max(values)
    if name in LAST:
        return values[-1]
    return sum(value * count for value, count in pairs) / sum(count for _, count in pairs)


def mean(values):
    return sum(values) / len(values)


def expected_steps(trainer, settings):
    """All metrics of each rollout and of the updates that are made of it."""
    per_rollout = updates_of(settings)
    accumulation = settings.get("gradient_accumulation_steps", 1)
    updates, steps = expected_updates(trainer, settings), []
    for index, rollout in enumerate(trainer.rollouts):
        own = updates[index * per_rollout : (index + 1) * per_rollout]
        from_, to = (at * per_rollout * accumulation for at in (index, index + 1))
        micro_batches = trainer.micro_batches[from_:to]
        names = sorted({name for one in micro_batches for name in one["metrics"]})
        steps.append({
            **rollout["metrics"],
            **{name: together(name, micro_batches, settings) for name in names},
            **{name: mean([update[name] for update in own]) for name in ("loss", "grad_norm", "learning_rate")},
        })
    return steps
