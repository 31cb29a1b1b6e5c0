"""Whole GRPO runs against TRL.

Trains a tiny model with the program, some updates of the optimizer, and gives the completions that it sampled to TRL's
own GRPOTrainer, which computes all else anew: rewards, advantages, log-probabilities of policy, old policy and
reference, losses, gradients, clipping, AdamW. Prints one table of how far the two are apart, and has exit code 1 when a
bound is broken. `--control` gives TRL a setting a little different from the program's: each row must then be apart.
Needs the built program (npm run build).
"""
import argparse
import logging
import os
import sys
import tempfile

import torch
import transformers
import trl

from checkpoints.program import ProgramError
from common import setup
from training.cases import CASES, CONTROLS
from training.compare import compare
from training.table import Table


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only cases whose names hold one of these words (default: all)")
    parser.add_argument("--control", action="store_true", help="only the rows that must be apart")
    return parser.parse_args()


def chosen(options):
    """Cases with what TRL alone is given."""
    cases = {case.name: case for case in CASES}
    pairs = [(cases[name], changes) for name, changes in CONTROLS] if options.control else [(one, {}) for one in CASES]
    return [(one, changes) for one, changes in pairs if any(word in one.name for word in options.words or [""])]


def main():
    options = parse()
    setup()
    os.environ.setdefault("VLMR1_THREADS", "1")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("trl").setLevel(logging.ERROR)
    table = Table(options.control, report=lambda line: print(line, file=sys.stderr, flush=True))
    for case, changes in chosen(options):
        with tempfile.TemporaryDirectory() as folder:
            try:
                table.add(case, changes, *compare(case, folder, changes))
            except ProgramError as error:
                table.add_failure(case, error)
    programs = f"TRL {trl.__version__}, transformers {transformers.__version__}, torch {torch.__version__}"
    print(f"\n{programs}, f32 on the CPU\n")
    print(table.markdown())
    print(f"\n{len(table.rows)} rows, {table.verdict()}")
    sys.exit(0 if table.good() else 1)


if __name__ == "__main__":
    main()
