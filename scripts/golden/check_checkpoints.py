"""Real checkpoints, all ways: folders in the layouts that people have, saved folders, adapters, damage, real sizes.

Writes tiny random models of every family into a temporary folder, runs the program on them and transformers or PEFT
beside it, and prints one table. Exit code 1 when a bound is broken. Needs the built program (npm run build).
"""
import argparse
import contextlib
import os
import sys
import tempfile

import torch
import transformers

from checkpoints.adapters import compare_adapters
from checkpoints.damage import compare_damage
from checkpoints.layouts import compare_layouts, compare_precisions
from checkpoints.saves import compare_saves
from checkpoints.sizes import compare_sizes
from checkpoints.table import Table
from common import setup

PARTS = {
    "layouts": compare_layouts,
    "precisions": compare_precisions,
    "saves": compare_saves,
    "adapters": compare_adapters,
    "sizes": compare_sizes,
    "damage": compare_damage,
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="only some of the table (default: all)")
    return parser.parse_args()


def main():
    options = parse()
    setup()
    os.environ.setdefault("VLMR1_THREADS", "1")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    table = Table(report=lambda line: print(line, file=sys.stderr, flush=True))
    for name in options.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
            PARTS[name](table, folder)
    print(f"\ntransformers {transformers.__version__}, torch {torch.__version__}, f32 on the CPU\n")
    print(table.markdown())
    print(f"\n{len(table.rows)} rows, " + ("all within their bounds" if table.good() else "BROKEN bounds"))
    sys.exit(0 if table.good() else 1)


if __name__ == "__main__":
    main()
