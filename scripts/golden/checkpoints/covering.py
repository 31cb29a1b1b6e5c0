"""Which layouts are written: few folders in which any two settings stand together, and most threes."""
import itertools
from dataclasses import dataclass, fields

from checkpoints.shapes import SHAPES

FOLDERS = 28


@dataclass(frozen=True)
class Layout:
    shape: str
    # config.json of transformers 5 (text_config, rope_parameters), of its last 4 (text_config, rope_scaling), or as
    # published before (flat, rope_scaling).
    config: str
    # Tensor names as published (model.layers…, visual.…) or as in memory (model.language_model…, model.visual.…).
    names: str
    files: str
    dtype: str
    # Whether a tied lm_head.weight is in the file too.
    head: str
    # eos_token_id of generation_config.json.
    eos: str
    # Where the image processor's limits stand.
    pixels: str
    template: str

    def text(self):
        head = ", tied lm_head stored" if self.head == "stored" else ""
        return f"{self.config}, {self.names}, {self.files}{head}, eos {self.eos}, {self.pixels}, {self.template}"


SETTINGS = {
    "shape": list(SHAPES),
    "config": ["5.x", "4.57", "4.x flat"],
    "names": ["published", "runtime"],
    "files": ["one file", "shards"],
    "dtype": ["f32", "f16", "bf16"],
    "head": ["as usual", "stored"],
    "eos": ["list", "single", "no file"],
    "pixels": ["min_pixels", "shortest_edge", "processor_config.json"],
    "template": ["chat_template.jinja", "chat_template.json", "tokenizer_config.json"],
}
assert list(SETTINGS) == [field.name for field in fields(Layout)]


def possible(layout):
    return layout.head == "as usual" or SHAPES[layout.shape].tied


def together(layout, size):
    """All choices of `size` settings that the layout shows together."""
    named = [(name, getattr(layout, name)) for name in SETTINGS]
    return frozenset(itertools.combinations(named, size))


def choose(count=FOLDERS):
    """Greedily, the folder next that shows most triples which no other has shown."""
    candidates = [layout for layout in map(Layout, *zip(*itertools.product(*SETTINGS.values()))) if possible(layout)]
    shown = {layout: together(layout, 3) for layout in candidates}
    missing, chosen = set().union(*shown.values()), []
    for _ in range(count):
        best = max(candidates, key=lambda layout: len(missing & shown[layout]))
        chosen.append(best)
        missing -= shown[best]
    pairs = set().union(*(together(layout, 2) for layout in candidates))
    seen = set().union(*(together(layout, 2) for layout in chosen))
    assert seen == pairs, sorted(pairs - seen)
    return chosen, 1 - len(missing) / len(set().union(*shown.values()))
