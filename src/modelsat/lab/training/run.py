"""Run a recipe: stages in turn, calibration, a checkpoint folder with card and manifest."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import set_seed

from modelsat._files import write_json
from modelsat.errors import ConfigurationError
from modelsat.lab.training.arguments import CapabilityTrainingArguments
from modelsat.lab.training.base import adapter_base, build, merge_adapters, psi_tokenizer, shipped_adapters
from modelsat.lab.training.corpus import Corpus
from modelsat.lab.training.finish import calibrate, description, save
from modelsat.lab.training.frozen import FrozenStates
from modelsat.lab.training.recipe import Recipe
from modelsat.lab.training.stages import stage_arguments, stage_name
from modelsat.lab.training.trainer import CapabilityInstructionTrainer
from modelsat.network.instruction import InstructionTokenizer, tokenizer_of
from modelsat.network.model import ModelSATModel

__all__ = ["calibrate", "save", "train"]

FINISHED = "finished.json"
WEIGHTS = "final.safetensors"
CHECKPOINT = "checkpoint"


def train(
    recipe: Recipe,
    output: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    overrides: Mapping[str, Any] | None = None,
    export: bool = True,
) -> Path:
    """Train by ``recipe`` and write a checkpoint folder.

    Args:
        recipe: Data, starting point, stages.
        output: Folder of the run; the checkpoint is its folder ``checkpoint``.
        seed: Seed of weights, batches and profiles.
        resume: Go on where an interrupted run stopped; the result is that of an uninterrupted one.
        overrides: Settings that replace those of every stage.
        export: Export the network to ONNX too, if it is of the kind that exports.

    Returns:
        The checkpoint folder: safetensors, config with calibration, tokenizer, recipe, model card, manifest.

    Raises:
        ConfigurationError: A setting is unknown, or ``output`` holds a run and ``resume`` is not set, or the run to
            resume had other settings.
        OutcomesError: The data cannot be trained on.
    """
    overrides = dict(overrides or {})
    arguments = [stage_arguments(s, n, output, seed, overrides) for n, s in enumerate(recipe.stages, 1)]
    corpus = recipe.corpus()
    corpus.check()
    about = description(recipe, corpus, seed, overrides)
    state = PartialState()
    _check_output(output, about, resume)
    state.wait_for_everyone()
    set_seed(seed)
    base = adapter_base(recipe.network)
    model, raw = build(recipe.network)
    if state.is_main_process:
        output.mkdir(parents=True, exist_ok=True)
        _write(output / "run.json", about)
    tokenizer = tokenizer_of(model.config.to_dict(), raw, psi_tokenizer(recipe.network))
    history: list[dict[str, Any]] = []
    frozen = None
    if recipe.frozen_states:
        frozen = FrozenStates(model, tokenizer.ids(corpus.table.prompts.tolist()), recipe.frozen_states)
    for number, (stage, settings) in enumerate(zip(recipe.stages, arguments, strict=True), 1):
        groups = tuple(group for group in corpus.groups if group.name in stage.get("groups", {group.name}))
        part = dataclasses.replace(corpus, groups=groups)
        history += _stage(model, tokenizer, part, settings, stage_name(stage, number), resume, frozen)
    adapters = None if base is None else (shipped_adapters(model), base)
    merge_adapters(model)
    folder = output / CHECKPOINT
    if state.is_main_process:
        whole = {**about, "validation": history}
        save(
            model,
            raw,
            tokenizer,
            corpus,
            folder,
            whole,
            card=recipe.card,
            export=export,
            frozen=frozen,
            adapters=adapters,
        )
    state.wait_for_everyone()
    return folder


def _check_output(output: Path, about: Mapping[str, Any], resume: bool) -> None:
    """Refuse to overwrite a run, or to go on with another than the one that was interrupted."""
    if not output.exists():
        return
    if not output.is_dir():
        raise ConfigurationError(f"{output} is not a folder: give another for the run")
    if any(output.iterdir()) and not resume:
        raise ConfigurationError(f"{output} is not empty: give another folder, or go on with --resume")
    earlier = output / "run.json"
    if earlier.is_file():
        before, now = _identity(json.loads(earlier.read_text("utf-8"))), _identity(about)
        changed = sorted(key for key in now if before.get(key) != now[key])
        if changed:
            raise ConfigurationError(
                f"{output} was started with other settings ({', '.join(changed)}): resume with those, or start a new "
                "run in another folder"
            )


def _identity(about: Mapping[str, Any]) -> dict[str, Any]:
    """What a run must have in common with the one it resumes."""
    kept = {key: value for key, value in about.items() if key != "versions"}
    kept["data"] = {name: counts["prompts"] for name, counts in about["data"].items()}
    return dict(json.loads(json.dumps(kept, default=str)))


def _stage(
    model: ModelSATModel,
    tokenizer: InstructionTokenizer,
    corpus: Corpus,
    settings: CapabilityTrainingArguments,
    name: str,
    resume: bool,
    frozen: FrozenStates | None,
) -> list[dict[str, Any]]:
    folder = Path(settings.output_dir or "")
    done = folder / FINISHED
    if resume and done.is_file():
        model.load_state_dict(load_file(folder / WEIGHTS))
        return json.loads(done.read_text("utf-8"))  # type: ignore[no-any-return]
    trainable = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    trainer = CapabilityInstructionTrainer(model, tokenizer, corpus, settings, frozen=frozen)
    last = last_checkpoint(folder) if resume else None
    trainer.train(resume_from_checkpoint=None if last is None else os.fspath(last))
    # what accelerate put around forward for mixed precision is not part of the network; the next stage puts it back,
    # but only around a network that is not marked as prepared
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    model.__dict__.pop("_is_accelerate_prepared", None)
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(trainable[parameter_name])
    history = _history(trainer, name)
    if PartialState().is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_separate(model.state_dict()), folder / WEIGHTS)
        _write(done, history)
    PartialState().wait_for_everyone()
    return history


def _separate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights without shared memory: an LM head tied to the embeddings is written twice."""
    seen: set[int] = set()
    result = {}
    for key, value in state.items():
        shared = value.data_ptr() in seen
        seen.add(value.data_ptr())
        result[key] = value.clone() if shared else value.contiguous()
    return result


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a stage that was written to its end; ``None`` if there is none.

    The trainer's state is what a checkpoint writes last, so one without it was interrupted.
    """
    complete = []
    for entry in folder.glob("checkpoint-*"):
        try:
            complete.append((int(json.loads((entry / "trainer_state.json").read_text("utf-8"))["global_step"]), entry))
        except (OSError, ValueError, KeyError):
            continue
    return max(complete)[1] if complete else None


def _history(trainer: CapabilityInstructionTrainer, stage: str) -> list[dict[str, Any]]:
    """Every evaluation of a stage, NaN as ``None``; ``kept`` marks the one of the weights that were kept."""
    entries = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    best = trainer.state.best_global_step if trainer.args.load_best_model_at_end else None
    last = entries[-1]["step"] if entries else None
    kept = best if best else last
    return [
        {"stage": stage, "kept": entry["step"] == kept}
        | {
            key: None if isinstance(entry[key], float) and math.isnan(entry[key]) else entry[key]
            for key in sorted(entry)
        }
        for entry in entries
    ]


def _write(path: Path, content: Any) -> None:
    """Write JSON in one step, so that a kill leaves no half of it."""
    write_json(path, content, default=str)
