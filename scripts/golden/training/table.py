"""The rows of the comparison, and whether they keep to their bounds."""
import math
from dataclasses import dataclass, field

# Largest relative errors.
BOUNDS = {
    "rewards, advantages": 1e-5,
    "loss": 1e-4,
    "grad_norm": 1e-4,
    "metrics": 1e-4,
    "Δ weights": 1e-3,
    "1 − cosine": 1e-6,
    "Δ log-probabilities": 1e-3,
}


@dataclass
class Row:
    name: str
    errors: dict
    metric: str
    failures: list = field(default_factory=list)

    def broken(self):
        # A NaN is within no bound.
        return [name for name, bound in BOUNDS.items() if not self.errors[name] <= bound]

    def good(self):
        return not self.failures and not self.broken()

    def cells(self):
        marks = [f" **BROKEN**{''.join(f'; {failure}' for failure in self.failures)}" if not self.good() else ""]
        shown = {name: f"{error:.1e}" for name, error in self.errors.items()}
        shown["metrics"] += f" ({self.metric})"
        return [self.name + marks[0], *(shown[name] for name in BOUNDS)]


class Table:
    """`control`: rows are to be apart, by what matters most, what training does to the weights."""

    def __init__(self, control, report):
        self.control, self.report, self.rows = control, report, []

    def add(self, case, changes, errors, metric, failures):
        name = case.name + "".join(f"; TRL: {key} {value}" for key, value in changes.items())
        row = Row(name, errors, metric, failures)
        self.rows.append(row)
        self.report(" | ".join(row.cells()))

    def add_failure(self, case, changes, error):
        """The program itself failed."""
        (line,) = [line for line in str(error).splitlines() if "Error: " in line][:1] or [str(error)]
        self.add(case, changes, dict.fromkeys(BOUNDS, math.nan), "none", [line])

    def good(self):
        if self.control:
            return all(row.errors["Δ weights"] > BOUNDS["Δ weights"] for row in self.rows)
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
