"""The rows of the comparison, and whether they keep to their bounds."""
import math
from dataclasses import dataclass, field

# Largest relative errors: a few times what is measured with AVX-512 and with the baseline instructions.
BOUNDS = {
    "rewards, advantages": 1e-5,
    "loss": 5e-4,
    "grad_norm": 1e-4,
    "metrics": 5e-4,
    "Δ weights": 2e-4,
    "1 − cosine": 2e-8,
    "Δ log-probabilities": 3e-4,
}


@dataclass
class Row:
    name: str
    errors: dict
    metric: str
    # Whether the two were trained differently, and must be apart.
    control: bool
    failures: list = field(default_factory=list)

    def good(self):
        if self.control:
            # By what matters most, what training does to the weights.
            return not self.failures and self.errors["Δ weights"] > BOUNDS["Δ weights"]
        # A NaN is within no bound.
        return not self.failures and all(self.errors[name] <= bound for name, bound in BOUNDS.items())

    def cells(self):
        mark = "" if self.good() else " **NOT apart**" if self.control else " **BROKEN**"
        shown = {name: f"{error:.1e}" for name, error in self.errors.items()}
        shown["metrics"] += f" ({self.metric})"
        return ["; ".join([self.name + mark, *self.failures]), *(shown[name] for name in BOUNDS)]


class Table:
    """`control`: rows of runs that TRL is given other settings for."""

    def __init__(self, control, report):
        self.control, self.report, self.rows = control, report, []

    def add(self, case, changes, errors, metric, failures):
        name = case.name + "".join(f"; TRL: {key} {value}" for key, value in changes.items())
        # Metrics that one side alone has are no matter where the two are to differ.
        row = Row(name, errors, metric, self.control, [] if self.control else failures)
        self.rows.append(row)
        self.report(" | ".join(row.cells()))

    def add_failure(self, case, error):
        """The program itself failed."""
        lines = [line for line in str(error).splitlines() if "Error: " in line]
        row = Row(case.name, dict.fromkeys(BOUNDS, math.nan), "none", self.control, lines[:1] or [str(error)])
        self.rows.append(row)
        self.report(" | ".join(row.cells()))

    def good(self):
        return all(row.good() for row in self.rows)

    def verdict(self):
        if self.control:
            return "all apart, as they must be" if self.good() else "some are NOT apart"
        return "all within their bounds" if self.good() else "BROKEN bounds"

    def markdown(self):
        lines = [
            ["relative error of", *BOUNDS], ["---"] * (len(BOUNDS) + 1), *(row.cells() for row in self.rows),
            ["bound", *(f"{bound:.0e}" for bound in BOUNDS.values())],
        ]
        return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
