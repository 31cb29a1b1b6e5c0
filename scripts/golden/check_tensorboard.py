"""Reads a run's event files as TensorBoard does and compares every number with metrics.jsonl: check_tensorboard.py RUN_FOLDER"""
import glob
import json
import math
import os
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def tag_of(name):
    """Hugging Face's rewrite_logs."""
    for prefix in ("eval", "test"):
        if name.startswith(prefix + "_"):
            return prefix + "/" + name[len(prefix) + 1:]
    return "train/" + name


def as_float32(value):
    if value is None:
        return math.nan
    return struct.unpack("<f", struct.pack("<f", value))[0]


def expected_of(folder):
    expected = {}
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            step = row.pop("step")
            for name, value in row.items():
                expected[tag_of(name), step] = as_float32(value)
    return expected


def main():
    folder = sys.argv[1]
    accumulator = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=True)
    accumulator.Reload()
    found = {}
    for tag in accumulator.Tags()["scalars"]:
        for event in accumulator.Scalars(tag):
            if (tag, event.step) in found:
                sys.exit(f"{tag}, step {event.step}: there twice")
            found[tag, event.step] = event.value
    expected = expected_of(folder)
    same = lambda a, b: a == b or (math.isnan(a) and math.isnan(b))
    wrong = [key for key in expected.keys() | found.keys()
             if key not in found or key not in expected or not same(found[key], expected[key])]
    for key in sorted(wrong)[:20]:
        print(*key, "expected", expected.get(key), "found", found.get(key))
    texts = [tag for tag in accumulator.Tags()["tensors"] if tag.endswith("/text_summary")]
    files = len(glob.glob(os.path.join(folder, "events.out.tfevents.*")))
    print(f"{files} files, {len(found)} numbers, {len(wrong)} wrong, texts: {', '.join(sorted(texts))}")
    for tag in texts:
        for event in accumulator.Tensors(tag):
            assert event.tensor_proto.string_val[0].decode("utf-8")
    sys.exit(1 if wrong or not found or "args/text_summary" not in texts else 0)


if __name__ == "__main__":
    main()
