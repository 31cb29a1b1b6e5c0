"""Rows: every layout of a folder, and the types in which weights are read."""
import os

from checkpoints import compare
from checkpoints.covering import SETTINGS, Layout, choose
from checkpoints.folders import write_folder, write_generation
from checkpoints.program import score
from checkpoints.shapes import SHAPES, make_source
from checkpoints.table import relative_error

# What most rows below vary one thing of.
PLAIN = {name: values[0] for name, values in SETTINGS.items()}


def plain_layout(shape, **changes):
    return Layout(**{**PLAIN, "shape": shape, **changes})


def write_whole(folder, source, layout):
    """Writes the folder; the generation ends at a token that it really comes by. Returns transformers' view of it."""
    write_folder(folder, source, layout)
    oracle = compare.open_folder(folder)
    if layout.eos != "no file":
        write_generation(folder, source, layout.eos, compare.a_token_on_the_way(oracle, folder))
    return oracle


def compare_layouts(table, scratch):
    sources = {name: make_source(name) for name in SHAPES}
    layouts, _ = choose()
    for number, layout in enumerate(sorted(layouts, key=lambda layout: list(SHAPES).index(layout.shape))):
        folder = os.path.join(scratch, str(number))
        oracle = write_whole(folder, sources[layout.shape], layout)
        error, what, failures = compare.compare_folder(oracle, folder)
        table.add(layout.shape, layout.text(), layout.dtype, what, error, compare.LOGITS_BOUND, failures)


def compare_precisions(table, scratch):
    """--precision bf16 over f32 weights; stored bf16 read as it is and as f32; gradients."""
    for name in SHAPES:
        source = make_source(name)
        folder = os.path.join(scratch, name)
        oracle = write_whole(folder, source, plain_layout(name))
        error, what, failures = compare.compare_gradients(oracle, folder, scratch)
        table.add(name, "5.x, published, one file", "f32", what, error, compare.GRADIENT_BOUND, failures)
        results = score(folder, compare.DATA, "--precision", "bf16")
        error, failures = compare.logprobs_difference(oracle, results)
        what = "log-probabilities, --precision bf16, against f32; held to 1.5 times transformers' own error under bf16 autocast"
        bound = 1.5 * compare.autocast_error(oracle, results)
        table.add(name, "5.x, published, one file", "f32", what, error, bound, failures)
        for dtype in ("bf16", "f16"):
            half = write_folder(os.path.join(scratch, f"{name}-{dtype}"), source, plain_layout(name, dtype=dtype))
            kept, wide = (score(half, compare.DATA, "--precision", way) for way in ("auto", "f32"))
            numbers = [[value for row in rows for value in row["logprobs"]] for rows in (kept, wide)]
            what = "log-probabilities, read as stored, against read as f32 by the program itself"
            table.add(name, "5.x, published, one file", dtype, what, relative_error(*numbers), 0)
