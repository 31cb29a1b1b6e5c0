"""Writes test/golden/rewards.json: what TRL's rewards and COCO's mAP say of made-up completions."""
import contextlib
import io
import os
import random
from importlib import metadata

import Levenshtein
import trl
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from trl.rewards import accuracy_rewards
from trl.rewards import get_cosine_scaled_reward, get_repetition_penalty_reward, get_soft_overlong_punishment

from common import ROOT, write_json

LENGTHS = [0, 1, 7, 31, 32, 33, 50, 63, 64, 65, 100, 1000]
WORDS = ["a", "b", "c", "the", "red", "cat", "果", "汁"]


def message(text):
    return [{"role": "assistant", "content": text}]


def cosine():
    """TRL's own schedule; whether a completion is correct is given, so math_verify is not needed."""
    settings = [
        {"max_len": 64},
        {"max_len": 100, "min_value_wrong": -0.3, "max_value_wrong": 0.0, "min_value_correct": 0.2, "max_value_correct": 2.0},
    ]
    accuracy_rewards.accuracy_reward = lambda completions, solution, **kwargs: [c[0]["content"] == "right" for c in completions]
    cases = []
    for values in settings:
        reward = get_cosine_scaled_reward(**values)
        for answer in ["right", "wrong"]:
            ids = [[1] * length for length in LENGTHS]
            scores = reward([message(answer)] * len(ids), [""] * len(ids), ids)
            cases.append({"settings": values, "correct": answer == "right", "lengths": LENGTHS, "rewards": scores})
    return cases


def soft_overlong():
    cases = []
    for longest, cache in [(64, 16), (64, 64), (100, 1), (64, 0)]:
        reward = get_soft_overlong_punishment(max_completion_len=longest, soft_punish_cache=cache)
        scores = reward([[1] * length for length in LENGTHS])
        cases.append({"max_completion_length": longest, "cache": cache, "lengths": LENGTHS, "rewards": scores})
    return cases


def repetition():
    """By token ids, and the same n-grams by words where ids stand for words."""
    draw = random.Random(7)
    cases = []
    for size, penalty in [(1, -1.0), (2, -0.5), (3, -1.0), (6, -1.0)]:
        reward = get_repetition_penalty_reward(ngram_size=size, max_penalty=penalty)
        for count in [0, 2, 5, 6, 7, 20, 60]:
            for kinds in [1, 3, len(WORDS)]:
                ids = [draw.randrange(kinds) for _ in range(count)]
                text = " ".join(WORDS[i] for i in ids)
                cases.append({"ngram_size": size, "max_penalty": penalty, "tokens": ids, "text": text, "reward": reward([ids])[0]})
    return cases


def coco_stats(given, wanted):
    labels = sorted({item["label"] for item in wanted})
    ids = {label: index + 1 for index, label in enumerate(labels)}

    def row(item, index):
        x1, y1, x2, y2 = item["bbox_2d"]
        return {
            "id": index + 1, "image_id": 1, "category_id": ids[item["label"]], "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1), "iscrowd": 0, "score": item.get("score", 1.0),
        }

    truth = COCO()
    truth.dataset = {
        "images": [{"id": 1}],
        "categories": [{"id": index} for index in ids.values()],
        "annotations": [row(item, index) for index, item in enumerate(wanted)],
    }
    truth.createIndex()
    known = [item for item in given if item["label"] in ids]
    if not known:
        return 0.0, 0.0
    evaluation = COCOeval(truth, truth.loadRes([row(item, index) for index, item in enumerate(known)]), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def detection():
    draw = random.Random(11)
    cases = []
    for _ in range(40):
        labels = ["cat", "dog", "cup"][: draw.randint(1, 3)]
        wanted = []
        for _ in range(draw.randint(1, 6)):
            x, y = draw.randrange(200), draw.randrange(200)
            box = [x, y, x + draw.randint(10, 90), y + draw.randint(10, 90)]
            wanted.append({"bbox_2d": box, "label": draw.choice(labels)})
        given = []
        for item in wanted:
            for _ in range(draw.choice([0, 1, 1, 1, 2])):
                shift = draw.choice([0, 1, 3, 8, 20])
                box = [edge + draw.randint(-shift, shift) for edge in item["bbox_2d"]]
                box = [min(box[0], box[2] - 1), min(box[1], box[3] - 1), box[2], box[3]]
                label = item["label"] if draw.random() < 0.85 else draw.choice(["cat", "dog", "cup", "bird"])
                given.append({"bbox_2d": box, "label": label, "score": draw.randint(1, 99) / 100})
        draw.shuffle(given)
        if len(cases) % 2 == 0:
            for item in given:
                del item["score"]
        with contextlib.redirect_stdout(io.StringIO()):
            average, at_half = coco_stats(given, wanted)
        cases.append({"given": given, "wanted": wanted, "map": average, "map50": at_half})
    return cases


def ratio():
    """Texts longer than a machine word, of few letters, so that much is common."""
    draw = random.Random(3)
    cases = []
    for left, right in [(33, 31), (64, 64), (70, 40), (200, 333), (5, 500)]:
        a, b = ("".join(draw.choice("abc果𝒳 ") for _ in range(length)) for length in (left, right))
        cases.append({"a": a, "b": b, "ratio": Levenshtein.ratio(a, b)})
    return cases


def main():
    with contextlib.redirect_stdout(io.StringIO()):
        detections = detection()
    value = {
        "versions": {"trl": trl.__version__, "pycocotools": metadata.version("pycocotools"), "Levenshtein": Levenshtein.__version__},
        "cosine": cosine(),
        "soft_overlong": soft_overlong(),
        "repetition": repetition(),
        "ratio": ratio(),
        "detection": detections,
    }
    write_json(os.path.join(ROOT, "rewards.json"), value)


if __name__ == "__main__":
    main()
