"""TRL's GRPOTrainer on completions that the program has sampled."""
import os
import warnings
from unittest import mock

import trl.trainer.grpo_trainer
from datasets import Dataset
from peft import LoraConfig, PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoTokenizer, PrinterCallback, Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer

from checkpoints.compare import open_folder
from common import ROOT, named_parameters
from peft_adapters import without_name
from pictures import decode
from tiny_models import load
from training.cases import updates_of
from training.rewards import REWARDS


class Processor(Qwen2_5_VLProcessor):
    """With PIL's image processor and none for videos: AutoProcessor needs torchvision for them."""

    def check_argument_for_proper_class(self, name, argument):
        return type(argument)

    @classmethod
    def load(cls, folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        # TRL takes a completion that ends with the padding token for one that was ended, though it was drawn.
        tokenizer.pad_token = tokenizer.eos_token
        return cls(Qwen2VLImageProcessorPil.from_pretrained(folder), tokenizer, None, tokenizer.chat_template)

    def __call__(self, images=None, **arguments):
        """TRL gives None for a row without pictures, which transformers refuses among rows with some."""
        if images is not None:
            images = [image for row in images for image in row or []]
        return super().__call__(images=images, **arguments)


class ReplayTrainer(GRPOTrainer):
    """
    Completes prompts with what was given, and notes what it computes of that. Nothing else is as it was not: rewards to
    advantages, log-probabilities, references, losses, accumulation, clipping, AdamW and schedules are TRL's own.
    """

    def __init__(self, prompts, **arguments):
        self.prompts = iter(prompts)
        self.rollouts, self.micro_batches = [], []
        super().__init__(**arguments)

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields, has_tool_images=False):
        groups = [next(self.prompts) for _ in range(len(prompt_ids) // self.num_generations)]
        expected = [group["tokens"] for group in groups for _ in group["completions"]]
        if [list(ids) for ids in prompt_ids] != expected:
            raise SystemExit("TRL makes other prompts of the same rows")
        return [ids for group in groups for ids in group["completions"]], None

    def _generate_and_score_completions(self, inputs):
        self._metrics["train"].clear()
        result = super()._generate_and_score_completions(inputs)
        logs = self._logs
        self.rollouts.append({
            "texts": list(logs["completion"]),
            "rewards": {name: list(values) for name, values in logs["rewards"].items()},
            "advantages": list(logs["advantages"]),
            "metrics": {name: values[-1] for name, values in self._metrics["train"].items()},
        })
        self._metrics["train"].clear()
        return result

    def _compute_loss(self, model, inputs):
        self._metrics["train"].clear()
        loss = super()._compute_loss(model, inputs)
        mask = inputs["completion_mask"]
        self.micro_batches.append({
            "loss": loss.item(),
            "tokens": mask.sum().item(),
            "sequences": len(mask),
            "metrics": {name: values[-1] for name, values in self._metrics["train"].items()},
        })
        return loss

    def get_decay_parameter_names(self, model):
        """Matrices, as here; TRL's own list goes by names and decays some norms of the vision tower too."""
        return [name for name, parameter in model.named_parameters() if parameter.dim() >= 2]


def in_parts(message):
    """TRL puts pictures before the first content that is no list of parts."""
    content = message["content"]
    return {**message, "content": [{"type": "text", "text": content}] if isinstance(content, str) else content}


def dataset(case, count):
    """
    `count` rows of the case, over and over. Made when they are asked for: a table has no room
    for content that is a text in one row and a list of parts in another.
    """
    oracle, rows = open_folder(case.folder()), []
    for row in case.rows():
        files = row.get("image") or []
        images = [decode(os.path.join(ROOT, file)) for file in ([files] if isinstance(files, str) else files)]
        prompt = [in_parts(message) for message in oracle.messages(row)[0]]
        rows.append({"prompt": prompt, "images": images, "row_id": row["id"]})
    columns = list(rows[0])
    taken = Dataset.from_dict({name: list(range(count)) if name == "row_id" else [None] * count for name in columns})
    return taken.with_transform(
        lambda batch: {name: [rows[number % len(rows)][name] for number in batch["row_id"]] for name in columns}
    )


def config(case, changes, out):
    settings = {**case.shared(), **changes}
    return GRPOConfig(**{
        **settings,
        "output_dir": os.path.join(out, "trl"),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "optim": "adamw_torch",
        "per_device_train_batch_size": case.sequences(),
        "max_steps": case.steps * updates_of(settings),
        "shuffle_dataset": False,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "disable_tqdm": True,
    })


def policy(case, adapter):
    """Arguments of the trainer: the model, with the adapter that it begins with."""
    model = load(case.folder())
    if case.adapter == "fresh":
        fresh = LoraConfig.from_pretrained(adapter)
        fresh.inference_mode = False
        return {"model": model, "peft_config": fresh}
    return {"model": PeftModel.from_pretrained(model, adapter, is_trainable=True) if case.adapter else model}


def weights(case, trainer):
    """What is trained, by its name in a checkpoint or in a file of PEFT's."""
    if case.adapter is None:
        return named_parameters(trainer.model)
    found = {name: p for name, p in trainer.model.named_parameters() if ".default." in name and "lora_" in name}
    return {without_name(name): p for name, p in found.items()}


def replay(case, changes, trace, out):
    """TRL's trainer after it has trained on the completions of `trace`, with `changes` of the case's settings."""
    adapter = os.path.join(out, "start")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = ReplayTrainer(
            trace["prompts"],
            **policy(case, adapter),
            reward_funcs=[REWARDS[name] for name in case.rewards],
            args=config(case, changes, out),
            train_dataset=dataset(case, len(trace["prompts"])),
            processing_class=Processor.load(case.folder()),
        )
        trainer.remove_callback(PrinterCallback)
        if case.adapter == "fresh":
            set_peft_model_state_dict(trainer.model, load_file(os.path.join(adapter, "adapter_model.safetensors")))
        # TRL mixes the completions of a rollout: its updates would hold other ones than here, where groups stay whole.
        with mock.patch.object(trl.trainer.grpo_trainer, "shuffle_sequence_dict", lambda batch: batch):
            trainer.train()
    return trainer
