"""The end of a run: calibration, the checkpoint folder, its ONNX export, model card and manifest."""

from __future__ import annotations

import json
import logging
import os
import shutil
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from modelsat.errors import ConfigurationError
from modelsat.lab.training.calibration import fit_calibration
from modelsat.lab.training.card import CardSettings, write_card
from modelsat.lab.training.corpus import Corpus
from modelsat.lab.training.frozen import FrozenStates
from modelsat.lab.training.sampling import ProfileSampler
from modelsat.lab.training.validation import capabilities, predict_rows
from modelsat.network.instruction import PSI_TOKENIZER, InstructionTokenizer
from modelsat.network.model import ModelSATModel
from modelsat.storage.arrays import make_readable
from modelsat.storage.base import ADAPTER_FILE, Base
from modelsat.storage.checkpoint import write_manifest

if TYPE_CHECKING:
    from modelsat.lab.training.recipe import Recipe

_PACKAGES = ("modelsat", "torch", "transformers", "accelerate")
_logger = logging.getLogger(__name__)


def description(recipe: Recipe, corpus: Corpus, seed: int, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is made of, for ``recipe.json`` and the card; paths are named by their last part alone."""
    table = corpus.table
    data = {}
    for group in corpus.groups:
        rows, columns = corpus.pool(group)
        for dataset in group.datasets:
            own = rows[table.datasets[rows] == dataset]
            logged = table.known[np.ix_(own, columns)].any(axis=0)
            data[dataset] = {"prompts": len(own), "models": int(logged.sum())}
    network = recipe.network
    return {
        "seed": seed,
        "base": Path(os.fspath(network.base)).name,
        "psi": None if network.psi is None else Path(os.fspath(network.psi)).name,
        "lora_rank": network.lora_rank,
        "network": {
            name: getattr(network, name)
            for name in (
                "causal",
                "layers",
                "inquiry_prompt",
                "inquiry_position",
                "entry_layer",
                "read_layer",
                "feed_forward",
                "head_width",
                "frozen_layers",
                "max_instruction_tokens",
                "order",
                "answer",
                "lora_alpha",
                "adapter_of",
            )
        },
        "data": data,
        "groups": {g.name: {"candidates": g.candidates, "share": g.share} for g in corpus.groups},
        "circle_test": recipe.circle_test,
        "frozen_states": recipe.frozen_states is not None,
        "teacher": corpus.teacher is not None,
        "stages": [dict(stage) for stage in recipe.stages],
        "overrides": dict(overrides),
        "unseen_models": sorted(corpus.unseen),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def calibrate(
    model: ModelSATModel, tokenizer: InstructionTokenizer, corpus: Corpus, frozen: FrozenStates | None = None
) -> None:
    """Fit the configuration's scale and shift on the validation prompts of every group, seen models only."""
    sampler = ProfileSampler(corpus.table, corpus.core, corpus.profiles)
    logits, labels = [], []
    model.eval()  # type: ignore[no-untyped-call]
    for group in corpus.groups:
        rows, columns = corpus.validation(group)
        columns = np.array([c for c in columns if corpus.table.models[c] not in corpus.unseen], dtype=np.intp)
        encoded = capabilities(model, tokenizer, [sampler.full(corpus.table.models[c]) for c in columns])
        ids = dict(zip(rows.tolist(), tokenizer.ids(corpus.table.prompts[rows].tolist()), strict=True))
        logits.append(predict_rows(model, ids, rows, encoded, frozen).ravel())
        labels.append(corpus.table.scores[np.ix_(rows, columns)].ravel())
    model.config.scale, model.config.shift = fit_calibration(np.concatenate(logits), np.concatenate(labels))


def save(
    model: ModelSATModel,
    raw: Tokenizer,
    tokenizer: InstructionTokenizer,
    corpus: Corpus,
    folder: Path,
    about: Mapping[str, Any],
    *,
    card: CardSettings | None = None,
    export: bool = False,
    frozen: FrozenStates | None = None,
    adapters: tuple[Mapping[str, Tensor], Base] | None = None,
) -> None:
    """Round to float16, calibrate, and write the checkpoint folder with card and manifest.

    Args:
        model: The trained network; it is left in float16.
        raw: Its tokenizer.
        tokenizer: The same for instructions, with that of psi's own encoder if it has one.
        corpus: The validation prompts that calibrate.
        folder: Where to write; what is there is replaced.
        about: Content of ``recipe.json``.
        card: What the recipe adds to the card.
        export: Write ``model.onnx`` and ``psi.onnx`` too, if the network is of the kind that exports.
        frozen: States of frozen layers that training kept, if it did.
        adapters: Adapters and heads that made the network of a base, to be written in its place.
    """
    if folder.is_dir():
        shutil.rmtree(folder)
    model = model.half().float().eval()  # type: ignore[no-untyped-call]
    calibrate(model, tokenizer, corpus, frozen)
    model.frozen_layers = 0
    if adapters is None:
        model.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    else:
        tensors, base = adapters
        model.config.save_pretrained(folder)
        save_file(dict(tensors), folder / ADAPTER_FILE, metadata={"format": "pt"})
        base.save(folder)
    for file in folder.glob("*.safetensors"):
        make_readable(file)
    raw.save(str(folder / "tokenizer.json"))
    if tokenizer.descriptions is not tokenizer:
        tokenizer.descriptions.raw.save(str(folder / PSI_TOKENIZER))
    (folder / "recipe.json").write_text(json.dumps(about, indent=1, default=str) + "\n", "utf-8")
    write_card(folder, card or CardSettings(), about)
    write_manifest(folder)
    if export and adapters is None and _export(model, folder):
        write_manifest(folder)


def _export(model: ModelSATModel, folder: Path) -> bool:
    """Export to ONNX. A network that does not export keeps its other files, and the log says so."""
    instead = "score with load_scorer(folder, backend='torch')"
    try:
        from modelsat.network.export import export_onnx

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's exporter warns about itself
            export_onnx(model.cpu(), folder)
        return True
    except ImportError as error:
        _logger.warning("no ONNX export, as %s is not installed; %s", error.name, instead)
    except ConfigurationError as error:
        _logger.warning("no ONNX export: %s; %s", error, instead)
    return False
