"""A tiny world: prompts of two kinds, models that are good at one, both or neither, and tiny random networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("accelerate", reason="training needs the extra 'train'")
pytest.importorskip("peft", reason="training needs the extra 'train'")

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from modelsat.lab.training import Recipe, read_recipe
from tests.hub_server import _running_hub, hub  # noqa: F401

KINDS = {
    "sums": ("add", "minus", "times", "divide", "prime", "root", "integral", "angle", "square", "digit"),
    "cells": ("leaf", "enzyme", "protein", "bone", "nerve", "virus", "species", "gene", "blood", "diet"),
}
TASKS = {
    "sums": ("ori_mmlu-high_school_mathematics", "ori_mmlu-elementary_mathematics"),
    "cells": ("ori_mmlu-high_school_biology", "ori_mmlu-nutrition"),
}
SKILLS = {  # P(right) on the two kinds of prompts
    "sums-a": (0.95, 0.05),
    "sums-b": (0.85, 0.15),
    "cells-a": (0.05, 0.95),
    "cells-b": (0.15, 0.85),
    "all": (0.95, 0.95),
    "none": (0.05, 0.05),
    "sums-new": (0.90, 0.10),
}
UNSEEN = "sums-new"
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_FILLERS = tuple(f"filler{number}" for number in range(20))
QUICK: dict[str, Any] = {
    "num_train_epochs": 1,
    "learning_rate": 1e-3,
    "logging_steps": 1000,
    "disable_tqdm": True,
    "bf16": False,
}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def prompts(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Kind and text of prompts that are all different."""
    rng = np.random.default_rng(seed)
    rows: dict[str, str] = {}
    while len(rows) < count:
        kind = ("sums", "cells")[len(rows) % 2]
        words = [*rng.choice(KINDS[kind], rng.integers(4, 8)), *rng.choice(_FILLERS, 3)]
        rows[" ".join(rng.permutation(words))] = kind
    return [(kind, text) for text, kind in rows.items()]


def figures(model: str, skills: Mapping[str, tuple[float, float]] = SKILLS) -> dict[str, float]:
    """What the profile of a model says: figures on two tasks of each kind."""
    pairs = zip(TASKS.values(), skills[model], strict=True)
    return {task: round(0.3 + 0.6 * skill, 2) for tasks, skill in pairs for task in tasks}


def write_world(folder: Path, count: int = 160, skills: Mapping[str, tuple[float, float]] = SKILLS) -> None:
    """``items.csv``, ``outcomes.csv`` and ``profiles.json`` in ``folder``."""
    rng = np.random.default_rng(1)
    items, outcomes = ["item_id,dataset,prompt"], ["item_id,model,score"]
    for number, (kind, text) in enumerate(prompts(count)):
        items.append(f"q{number},{kind},{text}")
        for model, skill in skills.items():
            outcomes.append(f"q{number},{model},{int(rng.random() < skill[kind == 'cells'])}")
    (folder / "items.csv").write_text("\n".join(items) + "\n", "utf-8")
    (folder / "outcomes.csv").write_text("\n".join(outcomes) + "\n", "utf-8")
    (folder / "profiles.json").write_text(json.dumps({model: figures(model, skills) for model in skills}), "utf-8")


def write_recipe(folder: Path, base: Path, **keys: Any) -> Path:
    """A recipe over the tables in ``folder``; keys replace those of the file, ``None`` removes one."""
    recipe: dict[str, Any] = {
        "items": str(folder / "items.csv"),
        "outcomes": str(folder / "outcomes.csv"),
        "profiles": str(folder / "profiles.json"),
        "unseen_models": [UNSEEN],
        "groups": {"both": {"datasets": ["sums", "cells"]}},
        "stages": [QUICK],
        **keys,
        "network": {"base": str(base), "max_instruction_tokens": 32, **keys.get("network", {})},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in recipe.items() if value is not None}), "utf-8")
    return path


def write_bases(root: Path) -> dict[str, Path]:
    """Folders of tiny random networks, ``bert`` and ``llama``, whose words of one kind are alike."""
    vocabulary = {word: at for at, word in enumerate((*_SPECIAL, *KINDS["sums"], *KINDS["cells"], *_FILLERS))}
    raw = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "mask", "cls", "sep")}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, **special)
    size = {"vocab_size": len(vocabulary), "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(0)
    networks = {
        "bert": BertModel(BertConfig(num_hidden_layers=2, max_position_embeddings=64, **size)),
        "llama": LlamaModel(LlamaConfig(num_hidden_layers=3, num_key_value_heads=2, pad_token_id=0, **size)),
    }
    signs = torch.tensor([(word in KINDS["sums"]) - (word in KINDS["cells"]) for word in vocabulary]).float()
    for name, network in networks.items():
        network.get_input_embeddings().weight.data += 0.05 * signs.unsqueeze(1) * torch.randn(32)
        network.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: root / name for name in networks}


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture
def world(tmp_path: Path, bases: dict[str, Path]) -> Callable[..., Recipe]:
    """Write the tables, the profiles and a recipe with the given keys replaced, and read the recipe."""

    def make(count: int = 160, base: str = "bert", **keys: Any) -> Recipe:
        write_world(tmp_path, count, keys.pop("skills", SKILLS))
        return read_recipe(write_recipe(tmp_path, bases[base], **keys))

    return make
