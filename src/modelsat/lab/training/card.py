"""The model card of a training run: what went in, what was chosen, what validation said, how to use it, its limits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CARD_FILE = "README.md"
NOT_STATED = "not stated in the recipe"


@dataclass(frozen=True)
class CardSettings:
    """What the data cannot know, for the card.

    Attributes:
        name: Name of the network; the name of the run's folder by default.
        license: Licence of the weights, as an SPDX identifier.
        base: Name of the base for readers; the base's folder name by default.
        base_license: Licence of the base.
        data: Source and licence of the outcomes, by data set.
        limits: Sentences on what the network should not be trusted with.
    """

    name: str = ""
    license: str = ""
    base: str = ""
    base_license: str = ""
    data: dict[str, str] = field(default_factory=dict)
    limits: tuple[str, ...] = ()


def write_card(folder: Path, card: CardSettings, about: Mapping[str, Any]) -> None:
    """Write ``README.md`` into a checkpoint folder.

    Args:
        folder: The checkpoint, with its ``config.json``.
        card: What the recipe adds.
        about: Content of the checkpoint's ``recipe.json``.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    name = card.name or folder.parent.name
    front = ["---", *([f"license: {card.license}"] if card.license else []), "library_name: modelsat"]
    if kept := about["network"].get("adapter_of"):
        front += [f"base_model: {kept.partition('@')[0]}", "base_model_relation: adapter"]
    parts = [
        "\n".join([*front, "tags: [llm-routing, model-selection]", "---", "", f"# {name}", "", _INTRODUCTION]),
        _network(card, about, config),
        _data(card, about),
        _settings(about),
        _validation(about["validation"], config),
        _USE.format(folder=folder.name),
        "\n".join(["## Limits", "", *(f"* {limit}" for limit in (*card.limits, *_LIMITS))]),
    ]
    (folder / CARD_FILE).write_text("\n\n".join(parts) + "\n", "utf-8")


def chosen(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The evaluation of each stage that its kept weights stand for, in the order of the stages."""
    stages = list(dict.fromkeys(entry["stage"] for entry in history))
    kept = ([entry for entry in history if entry["stage"] == stage and entry["kept"]] for stage in stages)
    return [entries[-1] for entries in kept if entries]


def validation_rows(entry: Mapping[str, Any]) -> list[tuple[str, str, float | None, float | None, float | None]]:
    """Group, ``"seen"`` or ``"unseen"`` models, AUC, Brier score and gain over the best single model of an evaluation.

    ``None`` stands for what cannot be computed; the gain is that of the whole pool and stands in a group's first row.
    """
    rows: list[tuple[str, str, float | None, float | None, float | None]] = []
    for key in entry:
        if key.startswith("eval_") and key.endswith("_brier"):
            group, kind = key.removeprefix("eval_").removesuffix("_brier").rsplit("_", 1)
            auc = entry.get(f"eval_{group}_{kind}_auc")
            gain = None if any(row[0] == group for row in rows) else entry.get(f"eval_{group}_gain")
            rows.append((group, kind, _finite(auc), _finite(entry[key]), _finite(gain)))
    return rows


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _network(card: CardSettings, about: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    phi = config["phi_config"]
    narrow = config.get("feed_forward")
    narrowed = f", feed-forward parts narrowed to {' and '.join(map(str, narrow))}" if narrow else ""
    layers = "1 layer" if phi["num_hidden_layers"] == 1 else f"{phi['num_hidden_layers']} layers"
    base = card.base or about["base"]
    kept = about["network"].get("adapter_of")
    how = f"merged into {kept} by `modelsat weights prepare`" if kept else "merged"
    adapters = f", trained with low-rank adapters of rank {about['lora_rank']} ({how})" if about["lora_rank"] else ""
    order = "the instruction first, read once for all candidates"
    if config["order"] == "capability_first":
        order = "the capability first, one pass per candidate (the paper's order)"
    read = config.get("read_layer")
    if read is not None:
        where = f"behind layer {read}" if read else "from its word embeddings"
        order += f"; its mean state is read {where}, and the last layer serves candidates alone"
    encoder, answer = "A capability encoder pools", "a two-way head reads P(success)"
    if config.get("psi_config"):
        encoder = f"A capability encoder with its own encoder of texts ({about['psi']}) pools"
    if config.get("answer_ids"):
        answer = "its LM head's P('Yes') against P('No') is P(success)"
    return "\n".join(
        [
            "## Network",
            "",
            f"* {layers} of width {phi['hidden_size']} ({phi['model_type']}), started from "
            f"{base} (licence: {card.base_license or NOT_STATED}){narrowed}{adapters}.",
            f"* Order: {order}. Instruction budget {config['max_instruction_tokens']} tokens; longer prompts keep head "
            "and tail.",
            f"* Method: Model-SAT (arXiv 2502.17282). {encoder} the statements of a profile, a connector hands the "
            f"result to the network as one position, {answer}.",
        ]
    )


def _data(card: CardSettings, about: Mapping[str, Any]) -> str:
    lines = ["## Training data", "", "| data set | prompts | models | source and licence |", "|---|--:|--:|---|"]
    for name, counts in about["data"].items():
        lines.append(f"| {name} | {counts['prompts']:,} | {counts['models']} | {card.data.get(name, NOT_STATED)} |")
    unseen = ", ".join(about["unseen_models"]) or "none"
    circle = " Outcomes are those of the circle test: right in every rotation of the options." * about["circle_test"]
    teacher = " A teacher's probabilities helped as targets." * about["teacher"]
    return "\n".join(
        [
            *lines,
            "",
            "Questions were split by their text into training, validation and test; core items that profiles are "
            f"made of train nothing.{circle}{teacher}",
            "",
            f"Models left out of training altogether: {unseen}.",
        ]
    )


def _settings(about: Mapping[str, Any]) -> str:
    lines = ["## Settings", "", f"Seed {about['seed']}; versions: {_pairs(about['versions'])}."]
    for number, stage in enumerate(about["stages"], 1):
        given = {key: value for key, value in {**stage, **about["overrides"]}.items() if key != "name"}
        lines += ["", f"{number}. **{stage.get('name', f'stage-{number}')}**: {_pairs(given) or 'defaults'}"]
    return "\n".join(lines)


def _pairs(values: Mapping[str, Any]) -> str:
    texts = ((key, ", ".join(map(str, v)) if isinstance(v, list | tuple) else v) for key, v in values.items())
    return "; ".join(f"{key} {value}" for key, value in texts)


def _validation(history: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> str:
    lines = [
        "## Validation",
        "",
        "Validation prompts, before calibration, for the weights each stage kept. AUC is the mean over models; gain is "
        "the accuracy of the best-scored model's answers minus that of the model with the best training mean.",
        "",
        "| stage | epoch | group | models | AUC | Brier | gain |",
        "|---|--:|---|---|--:|--:|--:|",
    ]
    for entry in chosen(history):
        for group, kind, *numbers in validation_rows(entry):
            auc, brier, gain = ("" if value is None else f"{value:.3f}" for value in numbers)
            lines.append(f"| {entry['stage']} | {entry['epoch']:.3g} | {group} | {kind} | {auc} | {brier} | {gain} |")
    if not history:
        lines[2:] = ["No stage was validated."]
    calibration = f"Calibration on seen models: logit times {config['scale']:.4f} plus {config['shift']:+.4f}."
    return "\n".join([*lines, "", calibration])


_INTRODUCTION = (
    "Predicts, before any model runs, the probability that a chat model will answer a request well. A model is\n"
    "described by a capability profile (accuracies on named tasks); the network scores every candidate for a request."
)
_USE = """## Use

```python
from modelsat import CapabilityProfile, Router

mine = CapabilityProfile.from_benchmarks("my-model", {{"GPQA": 0.71, "LiveCodeBench": 0.62}})
router = Router(["gpt-5", mine], weights="path/to/{folder}")
print(router.route("Why does quicksort degrade on sorted input?").explain())
```

`MANIFEST.json` holds the SHA-256 sum of every file; they are checked before use."""
_LIMITS = (
    "One training run: there is no spread over seeds here. Validation chose the weights and fitted the calibration, so "
    "its figures are slightly optimistic; measure on test prompts with `modelsat evaluate`.",
    "Prompts unlike the training data (other languages, domains, lengths) are extrapolation.",
)
