"""What each part of capability instruction tuning is worth: short trainings that differ in one thing.

    python benchmarks/ablation.py [--recipe recipes/exams.yaml] [--steps 150] [--seeds 1] [--only TEXT ...]

Every variant trains for the same number of steps on MMLU-Pro and is measured on its validation prompts: mean AUC and
Brier score of models that trained and of models left out, and what routing gains over the best single model. Numbers
of shots and calibration need no training of their own: they are read off the first variant, or off the checkpoint that
``--checkpoint`` names.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer
from transformers import set_seed

from modelsat.capability import CapabilityProfile, CapabilityStatement
from modelsat.lab.training.arguments import CapabilityTrainingArguments, fast_bfloat16
from modelsat.lab.training.base import build
from modelsat.lab.training.calibration import fit_calibration
from modelsat.lab.training.corpus import Corpus
from modelsat.lab.training.recipe import Recipe, read_recipe
from modelsat.lab.training.sampling import ProfileSampler
from modelsat.lab.training.trainer import CapabilityInstructionTrainer
from modelsat.lab.training.validation import capabilities, mean_auc, predict, validate
from modelsat.network.instruction import InstructionTokenizer
from modelsat.network.model import ModelSATModel

GROUP = "mmlu_pro"
WINDOW = 512
"""Tokens of the text encoder: what a profile written as one text is cut to."""
SHOTS = (1, 2, 5, 10, 20)
METRICS = ("seen_auc", "seen_brier", "unseen_auc", "unseen_brier", "gain")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the table: settings of the network and of the training that differ from the first row's."""

    network: dict[str, Any] = dataclasses.field(default_factory=dict)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    as_text: bool = False


ONLY_PER_MODEL = {"likelihood_weight": 0.0, "per_model_weight": 1.0, "per_instruction_weight": 0.0}
ONLY_PER_INSTRUCTION = {"likelihood_weight": 0.0, "per_model_weight": 0.0, "per_instruction_weight": 1.0}
BOTH = {"likelihood_weight": 0.0, "per_model_weight": 1.0, "per_instruction_weight": 1.0}

VARIANTS = {
    "as shipped (one pass, pooled statements, lookup, three terms)": Variant(),
    "without the lookup of reference tasks": Variant(network={"reference_tasks": ()}),
    "profile as one text cut at 512 tokens, no lookup": Variant(
        network={"reference_tasks": ()}, settings={"psi_gradient": True}, as_text=True
    ),
    "likelihood alone": Variant(settings={"per_model_weight": 0.0, "per_instruction_weight": 0.0}),
    "loss 5 alone (instructions for a model)": Variant(settings=ONLY_PER_MODEL),
    "contrast of models for an instruction alone": Variant(settings=ONLY_PER_INSTRUCTION),
    "both contrasts, no likelihood": Variant(settings=BOTH),
    "one pass, 3 candidates a step": Variant(network={"inquiry_position": "own"}, settings={"max_candidates": 3}),
    "capability first (a pass a candidate), 3 candidates a step": Variant(
        network={"inquiry_position": "own", "order": "capability_first"}, settings={"max_candidates": 3}
    ),
    "two layers, one pass, 3 candidates a step": Variant(
        network={"layers": 2, "inquiry_position": "own"}, settings={"max_candidates": 3}
    ),
    "two layers, capability first, 3 candidates a step": Variant(
        network={"layers": 2, "inquiry_position": "own", "order": "capability_first"}, settings={"max_candidates": 3}
    ),
    "four of the six layers": Variant(network={"layers": 4}),
    "three of the six layers": Variant(network={"layers": 3}),
    "two of the six layers": Variant(network={"layers": 2}),
    "two layers, the instruction read behind the first": Variant(network={"layers": 2, "read_layer": 1}),
    "one layer": Variant(network={"layers": 1}),
    "one layer, for candidates alone": Variant(network={"layers": 1, "read_layer": 0}),
    "candidates enter behind three layers": Variant(network={"entry_layer": 3}),
}


class AsText(ProfileSampler):
    """Profiles as the paper writes them: one text, whose numbers are words; nothing else is said of the model."""

    def draw(self, model: str, rng: np.random.Generator) -> CapabilityProfile:
        return _as_text(super().draw(model, rng))

    def full(self, model: str) -> CapabilityProfile:
        return _as_text(super().full(model))


def _as_text(profile: CapabilityProfile) -> CapabilityProfile:
    text = CapabilityProfile(model=profile.model, statements=profile.statements).text()
    statement = CapabilityStatement.model_construct(task="text", description=text, accuracy=0.5, items=100, source="")
    return CapabilityProfile.model_construct(model=profile.model, statements=(statement,))


class Growing(dict[str, int]):
    """Positions of texts in a list that takes in every new one."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__()
        self.texts = texts

    def __missing__(self, text: str) -> int:
        self.texts.append(text)
        self[text] = len(self.texts) - 1
        return self[text]


def run(variant: Variant, recipe: Recipe, corpus: Corpus, steps: int, seed: int, folder: Path) -> dict[str, float]:
    """Train one variant and report its validation metrics."""
    set_seed(seed)
    model, raw = build(dataclasses.replace(recipe.network, **variant.network))
    tokenizer = InstructionTokenizer(raw, model.config.max_instruction_tokens, model.config.head_share)
    chosen = {key: value for key, value in recipe.stages[-1].items() if key not in ("name", "groups")}
    overrides = {
        "max_steps": steps,
        "eval_strategy": "no",
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "logging_steps": 1000,
        "bf16": fast_bfloat16(),
        "warmup_steps": max(1, steps // 10),
        "output_dir": os.fspath(folder),
        "seed": seed,
    }
    arguments = CapabilityTrainingArguments(**{**chosen, **overrides, **variant.settings})
    trainer = CapabilityInstructionTrainer(model, tokenizer, corpus, arguments)
    if variant.as_text:
        _read_texts(trainer, raw, corpus, arguments)
    trainer.train()
    if variant.as_text:
        return _text_report(model, trainer.tokenizer, corpus, trainer.prompt_ids)
    return validate(model, tokenizer, corpus, trainer.prompt_ids)


def _read_texts(
    trainer: CapabilityInstructionTrainer, raw: Tokenizer, corpus: Corpus, arguments: CapabilityTrainingArguments
) -> None:
    batches: Any = trainer.train_dataset
    trainer.descriptions = []
    trainer.tokenizer = InstructionTokenizer(raw, WINDOW, 1.0)
    batches._positions = Growing(trainer.descriptions)
    batches._sampler = AsText(corpus.table, corpus.core, corpus.profiles, shots=arguments.shots)


def _text_report(
    model: ModelSATModel, tokenizer: InstructionTokenizer, corpus: Corpus, ids: Sequence[Sequence[int]]
) -> dict[str, float]:
    sampler = AsText(corpus.table, corpus.core, corpus.profiles)
    return read_off(model, tokenizer, corpus, ids, sampler)


def read_off(
    model: ModelSATModel,
    tokenizer: InstructionTokenizer,
    corpus: Corpus,
    ids: Sequence[Sequence[int]],
    sampler: ProfileSampler,
    shots: int | None = None,
    *,
    calibrated: bool = False,
) -> dict[str, float]:
    """Validation metrics with the profiles of ``sampler``, or with fewer items a task."""
    group = corpus.groups[0]
    rows, columns = corpus.validation(group)
    models = [corpus.table.models[column] for column in columns]
    rng = np.random.default_rng(0)
    profiles = [sampler.full(name) if shots is None else sampler.draw(name, rng) for name in models]
    model.eval()
    logits = predict(model, [ids[row] for row in rows], capabilities(model, tokenizer, profiles))
    labels = corpus.table.scores[np.ix_(rows, columns)]
    left_out = np.array([name in corpus.unseen for name in models])
    if calibrated:
        scale, shift = fit_calibration(logits[::2][:, ~left_out], labels[::2][:, ~left_out])
        logits, labels = scale * logits[1::2] + shift, labels[1::2]
    report = {}
    for kind, mask in (("seen", ~left_out), ("unseen", left_out)):
        p = 1.0 / (1.0 + np.exp(-logits[:, mask]))
        report[f"{GROUP}_{kind}_auc"] = mean_auc(logits[:, mask], labels[:, mask])
        report[f"{GROUP}_{kind}_brier"] = float(np.nanmean((p - labels[:, mask]) ** 2))
    return report


def shots_table(checkpoint: Path, corpus: Corpus) -> dict[str, dict[str, float]]:
    """One trained checkpoint, described by fewer items a task."""
    model = ModelSATModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    tokenizer = InstructionTokenizer(
        (checkpoint / "tokenizer.json").read_bytes(), model.config.max_instruction_tokens, model.config.head_share
    )
    ids = tokenizer.ids(corpus.table.prompts.tolist())
    found = {}
    for shots in SHOTS:
        sampler = ProfileSampler(corpus.table, corpus.core, {}, shots=(shots,), subsample=False)
        found[f"{shots} shots a task"] = read_off(model, tokenizer, corpus, ids, sampler, shots)
    sampler = ProfileSampler(corpus.table, corpus.core, {})
    found["uncalibrated, second half of the prompts"] = {
        **read_off(model, tokenizer, _half(corpus), ids, sampler),
    }
    found["calibrated on the first half"] = read_off(model, tokenizer, corpus, ids, sampler, calibrated=True)
    return found


def _half(corpus: Corpus) -> Corpus:
    """The corpus with every second validation prompt of the group."""
    rows, _ = corpus.validation(corpus.groups[0])
    return dataclasses.replace(corpus, split=dataclasses.replace(corpus.split, validation=rows[1::2]))


def show(console: Console, title: str, rows: dict[str, list[dict[str, float]]]) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("variant")
    for name in METRICS:
        table.add_column(name.replace("_", " "), justify="right")
    for name, runs in rows.items():
        cells = []
        for metric in METRICS:
            values = [run[f"{GROUP}_{metric}"] for run in runs if f"{GROUP}_{metric}" in run]
            spread = f" ± {np.std(values):.4f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.4f}{spread}" if values else "")
        table.add_row(name, *cells)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/exams.yaml"))
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="variants whose name holds one of these words")
    parser.add_argument("--checkpoint", type=Path, help="trained checkpoint for the numbers of shots and calibration")
    parser.add_argument("--output", type=Path, default=Path("runs/ablation.json"))
    arguments = parser.parse_args()
    console = Console()
    recipe = read_recipe(arguments.recipe)
    corpus = recipe.corpus()
    corpus = dataclasses.replace(
        corpus, teacher=None, groups=tuple(group for group in corpus.groups if group.name == GROUP)
    )
    rows: dict[str, list[dict[str, float]]] = {}
    for name, variant in VARIANTS.items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                report = run(variant, recipe, corpus, arguments.steps, seed, Path(folder))
            rows.setdefault(name, []).append(report)
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            arguments.output.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
        console.print(name, {key: round(value, 4) for key, value in rows[name][-1].items()})
    if rows:
        show(console, f"{arguments.steps} steps, {arguments.seeds} seed(s), validation prompts", rows)
    if arguments.checkpoint:
        found = {name: [report] for name, report in shots_table(arguments.checkpoint, corpus).items()}
        show(console, f"{arguments.checkpoint}, validation prompts", found)


if __name__ == "__main__":
    main()
