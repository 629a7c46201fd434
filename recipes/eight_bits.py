"""Eight-bit layers for a trained network.

Reads prompts of the training split of the data sets that the network was trained on; needs no outcomes. Used by
``recipes/package.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.progress import Progress

from modelsat.capability.registry import Registry
from modelsat.inference import load_scorer
from modelsat.lab.outcomes.table import TEST_SHARE, VALIDATION_SHARE, buckets
from modelsat.network.instruction import InstructionTokenizer, TokenBatch, pad
from modelsat.network.model import ModelSATModel
from modelsat.network.quantise import QuantisedLinear, fit_layers

PROMPTS, BESIDE = 192, 24
"""Prompts that layers are fitted to, and candidates beside them."""
BATCH = 12


def eight_bit_layers(run: Path, model: ModelSATModel, items: Path, seed: int = 0) -> dict[str, QuantisedLinear]:
    """Fit all linear layers of the encoder.

    Args:
        run: The checkpoint folder of the training run.
        model: Its network, in float32.
        items: Table of items with ``dataset`` and ``prompt``.
        seed: Draws prompts and candidates.
    """
    scorer = load_scorer(run, "torch")
    capabilities = torch.from_numpy(scorer.capabilities(list(Registry.shipped())))
    tokenizer = InstructionTokenizer(
        (run / "tokenizer.json").read_bytes(), model.config.max_instruction_tokens, model.config.head_share
    )
    rng = np.random.default_rng(seed)
    prompts = training_prompts(items, list(json.loads((run / "recipe.json").read_text("utf-8"))["data"]), rng)
    ids = tokenizer.ids(list(islice(prompts, PROMPTS)))
    candidates = capabilities[torch.from_numpy(rng.choice(len(capabilities), BESIDE, replace=False))]
    with Progress() as progress:
        bar = progress.add_task("fitting eight-bit layers", total=4 * model.config.phi_config.num_hidden_layers)
        return fit_layers(model, _batches(ids), candidates, lambda _: progress.advance(bar), seed)


def training_prompts(items: Path, datasets: list[str], rng: np.random.Generator) -> Iterator[str]:
    """Prompts of the training split in random order, the data sets by turns."""
    table = pd.read_parquet(items, columns=["dataset", "prompt"])
    table = table[table["dataset"].isin(datasets)]
    kept = buckets(table["prompt"].to_numpy(dtype=object)) >= round(100 * (TEST_SHARE + VALIDATION_SHARE))
    table = table[kept].iloc[rng.permutation(int(kept.sum()))]
    turn = table.groupby("dataset").cumcount()
    yield from table.iloc[np.argsort(turn.to_numpy(), kind="stable")]["prompt"]


def _batches(ids: list[list[int]]) -> list[TokenBatch]:
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    return [pad([ids[index] for index in order[start : start + BATCH]], 0) for start in range(0, len(order), BATCH)]
