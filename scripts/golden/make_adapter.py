"""An adapter that PEFT made for one of the tiny models, and what PEFT's model with it says."""
import json
import os

from peft import __version__ as peft_version

from common import ROOT, setup, versions, write_json
from oracle import Oracle, read_rows
from peft_adapters import gradients, make
from tiny_models import save

BASE = "qwen2_5_vl_a"


def tidy(folder):
    """Without the path of this machine and the model card."""
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["base_model_name_or_path"] = BASE
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2, sort_keys=True)
        file.write("\n")


def main():
    setup()
    folder = os.path.join(ROOT, f"{BASE}_lora")
    oracle = Oracle(os.path.join(ROOT, BASE), ROOT)
    oracle.model = make(os.path.join(ROOT, BASE), folder, layers="all", rslora=True, patterns=True)
    tidy(folder)
    cases, total = [], 0
    for row in read_rows(os.path.join(ROOT, "conversations.json")):
        tokens, vision, _ = oracle.prompt(row)
        answer = oracle.messages(row)[1] + oracle.tokenizer.eos_token
        completion = oracle.tokenizer(answer, add_special_tokens=False)["input_ids"]
        logprobs = oracle.logprobs(tokens, completion, vision)
        (-logprobs.sum()).backward()
        total += len(completion)
        cases.append({"id": row["id"], "token_ids": completion, "logprobs": logprobs.tolist()})
    save(os.path.join(folder, "gradients.safetensors"), {k: g / total for k, g in gradients(oracle.model).items()})
    write_json(os.path.join(folder, "scores.json"), {"versions": {**versions(), "peft": peft_version}, "rows": cases})
    print(folder, len(gradients(oracle.model)) // 2, "layers,", total, "tokens")


if __name__ == "__main__":
    main()
