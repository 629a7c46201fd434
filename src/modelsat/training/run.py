"""Run a recipe: stages in turn, calibration, a checkpoint folder with card and manifest."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import set_seed
from transformers.trainer_utils import get_last_checkpoint

from modelsat.errors import ConfigurationError
from modelsat.network.instruction import InstructionTokenizer
from modelsat.network.model import ModelSATModel
from modelsat.storage.checkpoint import write_manifest
from modelsat.training.arguments import CapabilityTrainingArguments, fast_bfloat16
from modelsat.training.base import build, merge_adapters
from modelsat.training.calibration import fit_calibration
from modelsat.training.corpus import Corpus
from modelsat.training.recipe import Recipe
from modelsat.training.sampling import ProfileSampler
from modelsat.training.trainer import CapabilityInstructionTrainer
from modelsat.training.validation import capabilities, predict

FINISHED = "finished.json"


def train(recipe: Recipe, output: Path, *, seed: int = 0, resume: bool = False, overrides: dict[str, Any]) -> Path:
    """Train by ``recipe`` and write a checkpoint folder.

    Args:
        recipe: Data, starting point, stages.
        output: Folder of the run; the checkpoint is its folder ``checkpoint``.
        seed: Seed of weights, batches and profiles.
        resume: Go on where an interrupted run stopped; the result is that of an uninterrupted one.
        overrides: Settings that replace those of every stage.

    Returns:
        The checkpoint folder: safetensors, config with calibration, tokenizer, recipe, manifest.

    Raises:
        ConfigurationError: A setting is unknown, or ``output`` holds a run and ``resume`` is not set.
        OutcomesError: The data cannot be trained on.
    """
    arguments = [_arguments(recipe, index, output, seed, overrides) for index in range(len(recipe.stages))]
    corpus = recipe.corpus()
    corpus.check()
    if output.exists() and any(output.iterdir()) and not resume:
        raise ConfigurationError(f"{output} is not empty: give another folder, or go on with --resume")
    output.mkdir(parents=True, exist_ok=True)
    set_seed(seed)
    model, raw = build(recipe.network)
    tokenizer = InstructionTokenizer(raw, model.config.max_instruction_tokens, model.config.head_share)
    history: list[dict[str, Any]] = []
    for index, settings in enumerate(arguments):
        chosen = recipe.stages[index].get("groups")
        groups = tuple(group for group in corpus.groups if chosen is None or group.name in chosen)
        history += _stage(model, tokenizer, dataclasses.replace(corpus, groups=groups), settings, resume)
    merge_adapters(model)
    folder = output / "checkpoint"
    save(model, raw, tokenizer, corpus, folder, {"seed": seed, "stages": list(recipe.stages), "validation": history})
    return folder


def _arguments(
    recipe: Recipe, index: int, output: Path, seed: int, overrides: dict[str, Any]
) -> CapabilityTrainingArguments:
    given = {key: value for key, value in recipe.stages[index].items() if key not in ("name", "groups")}
    settings = {
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "save_total_limit": 2,
        "logging_steps": 20,
        "bf16": fast_bfloat16(),
        **given,
        **overrides,
        "seed": seed,
        "output_dir": os.fspath(output / f"stage-{index + 1}"),
    }
    try:
        return CapabilityTrainingArguments(**settings)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"stage {index + 1} of the recipe: {error}") from error


def _stage(
    model: ModelSATModel,
    tokenizer: InstructionTokenizer,
    corpus: Corpus,
    settings: CapabilityTrainingArguments,
    resume: bool,
) -> list[dict[str, Any]]:
    folder = Path(settings.output_dir or "")
    done = folder / FINISHED
    if resume and done.is_file():
        model.load_state_dict(load_file(folder / "final.safetensors"))
        return json.loads(done.read_text("utf-8"))  # type: ignore[no-any-return]
    trainable = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    trainer = CapabilityInstructionTrainer(model, tokenizer, corpus, settings)
    last = get_last_checkpoint(os.fspath(folder)) if resume and folder.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trainable[name])
    history = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "final.safetensors")
    done.write_text(json.dumps(history) + "\n", "utf-8")
    return history


def calibrate(model: ModelSATModel, tokenizer: InstructionTokenizer, corpus: Corpus) -> None:
    """Fit the configuration's scale and shift on the validation prompts of every group, seen models only."""
    sampler = ProfileSampler(corpus.table, corpus.core, corpus.profiles)
    logits, labels = [], []
    model.eval()
    for group in corpus.groups:
        rows, columns = corpus.validation(group)
        columns = np.array([c for c in columns if corpus.table.models[c] not in corpus.unseen], dtype=np.intp)
        encoded = capabilities(model, tokenizer, [sampler.full(corpus.table.models[c]) for c in columns])
        ids = tokenizer.ids(corpus.table.prompts[rows].tolist())
        logits.append(predict(model, ids, encoded, int(model.config.phi_config.pad_token_id or 0)).ravel())
        labels.append(corpus.table.scores[np.ix_(rows, columns)].ravel())
    model.config.scale, model.config.shift = fit_calibration(np.concatenate(logits), np.concatenate(labels))


def save(
    model: ModelSATModel,
    raw: Tokenizer,
    tokenizer: InstructionTokenizer,
    corpus: Corpus,
    folder: Path,
    about: dict[str, Any],
) -> None:
    """Round to float16, calibrate, and write the checkpoint folder with its manifest."""
    if folder.is_dir():
        shutil.rmtree(folder)
    model = model.half().float().eval()  # type: ignore[no-untyped-call]
    calibrate(model, tokenizer, corpus)
    model.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    raw.save(str(folder / "tokenizer.json"))
    about = {**about, "unseen_models": sorted(corpus.unseen)}
    (folder / "recipe.json").write_text(json.dumps(about, indent=1, default=str) + "\n", "utf-8")
    write_manifest(folder)
