"""Shared helpers of the golden-file scripts."""
import json
import os
import re

import torch

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "test", "golden"))


def setup():
    """One thread and fixed algorithms, so that a rerun gives the same bytes on the same CPU."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def versions():
    import numpy
    import PIL
    import transformers

    found = {"torch": torch.__version__, "transformers": transformers.__version__}
    found["numpy"] = numpy.__version__
    found["pillow"] = PIL.__version__
    return found


def compact(value, indent=0):
    """JSON with one line per list of plain values."""
    pad = " " * (indent + 2)
    if isinstance(value, dict) and value:
        rows = [f"{pad}{json.dumps(k)}: {compact(v, indent + 2)}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    if isinstance(value, list) and any(isinstance(v, dict) for v in value):
        return "[\n" + ",\n".join(pad + compact(v, indent + 2) for v in value) + "\n" + " " * indent + "]"
    return json.dumps(value)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        file.write(compact(value) + "\n")


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def checkpoint_name(name):
    """transformers' module name -> the tensor name in the published checkpoints."""
    name = re.sub(r"^model\.visual\.", "visual.", name)
    return re.sub(r"^model\.language_model\.", "model.", name)


def named_parameters(model):
    """Checkpoint name -> parameter; a tied head appears once, as the embedding."""
    return {checkpoint_name(name): p for name, p in model.named_parameters()}
