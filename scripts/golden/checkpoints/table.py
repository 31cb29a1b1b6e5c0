"""The rows of the comparison, and whether they keep to their bounds."""
from dataclasses import dataclass, field

import torch

COLUMNS = ["model", "layout", "dtype", "what", "relative error", "bound"]


@dataclass
class Row:
    model: str
    layout: str
    dtype: str
    what: str
    # Largest relative error; None where equality is all there is to say.
    error: float | None
    bound: float
    failures: list = field(default_factory=list)

    def good(self):
        # A NaN is within no bound.
        return not self.failures and (self.error is None or self.error <= self.bound)

    def cells(self):
        mark = "" if self.good() else " **BROKEN**" + "".join(f"; {failure}" for failure in self.failures)
        shown = "" if self.error is None else "0" if self.error == 0 else f"{self.error:.1e}"
        bound = "" if self.error is None else "equal" if self.bound == 0 else f"{self.bound:.0e}"
        return [self.model, self.layout, self.dtype, self.what + mark, shown, bound]


class Table:
    def __init__(self, report):
        self.rows = []
        self.report = report

    def add(self, model, layout, dtype, what, error=None, bound=0.0, failures=()):
        row = Row(model, layout, dtype, what, error, bound, list(failures))
        self.rows.append(row)
        self.report(" | ".join(cell for cell in row.cells() if cell))

    def good(self):
        return all(row.good() for row in self.rows)

    def markdown(self):
        lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in self.rows)]
        return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def relative_error(have, want):
    """The largest difference, over the largest number."""
    have, want = (torch.as_tensor(values).double().flatten() for values in (have, want))
    if have.shape != want.shape:
        return float("nan")
    return float((have - want).abs().max() / want.abs().max())
