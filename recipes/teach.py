"""P(success) of training prompts by one or more trained networks, as soft targets for a smaller one.

    python recipes/teach.py runs/minilm/checkpoint runs/smollm2/checkpoint --output runs/teacher.parquet

Scores the training prompts of a recipe's groups for every model that trains on them, and averages the networks' logits.
A request that begs for another model is scored as what it repeats, so that a pupil learns to pass over the begging.
Where the recipe has a teacher already, what that says of other prompts is kept. A recipe reads the table as
its ``teacher``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import constructed
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from rich.progress import track

from modelsat.lab.training.arguments import fast_bfloat16
from modelsat.lab.training.corpus import Corpus
from modelsat.lab.training.recipe import read_recipe
from modelsat.lab.training.sampling import ProfileSampler
from modelsat.lab.training.validation import capabilities, predict
from modelsat.network.instruction import InstructionTokenizer
from modelsat.network.model import ModelSATModel

CHUNK = 256
DECIMALS = 2
"""Of the probabilities in the table, which stays small for it."""


class Teacher:
    """A trained network that scores prompts of a corpus for its models.

    Args:
        folder: Its checkpoint.
        corpus: Prompts and profiles.
    """

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self._folder, self._corpus = folder, corpus
        self._model = ModelSATModel.from_pretrained(folder, dtype=torch.float32).eval()
        config = self._model.config
        self._tokenizer = InstructionTokenizer(
            (folder / "tokenizer.json").read_bytes(), config.max_instruction_tokens, config.head_share
        )
        self._sampler = ProfileSampler(corpus.table, corpus.core, corpus.profiles)

    def logits(self, prompts: Sequence[str], names: Sequence[str]) -> NDArray[np.float32]:
        """Calibrated logits of P(success), shape (prompts, names)."""
        config = self._model.config
        found = np.zeros((len(prompts), len(names)), dtype=np.float32)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
            encoded = capabilities(self._model, self._tokenizer, [self._sampler.full(name) for name in names])
            ids = self._tokenizer.ids(list(prompts))
            order = np.argsort([len(row) for row in ids])
            for chosen in track(np.array_split(order, max(1, len(order) // CHUNK)), str(self._folder)):
                found[chosen] = predict(self._model, [ids[index] for index in chosen], encoded)
        return found * config.scale + config.shift


def scored_prompts(corpus: Corpus, rows: NDArray[np.intp]) -> list[str]:
    """What is scored for each row: its prompt, or that of the request it repeats with begging."""
    prompts = dict(zip(corpus.table.item_ids, corpus.table.prompts, strict=True))
    return [prompts[constructed.original(str(identifier))] for identifier in corpus.table.item_ids[rows]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--recipe", type=Path, default=Path("recipes/modelsat-nano.yaml"))
    parser.add_argument("--skip", nargs="*", default=["constructed"], help="groups that nobody teaches")
    parser.add_argument(
        "--models-of", nargs="*", default=[], metavar="GROUP=OTHER", help="score GROUP for OTHER's models"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/teacher.parquet"))
    arguments = parser.parse_args()
    os.environ.setdefault("MODELSAT_DATA", "../shared/data")
    recipe = read_recipe(arguments.recipe)
    corpus = recipe.corpus()
    teachers = [Teacher(folder, corpus) for folder in arguments.checkpoints]
    items: list[str] = []
    models: list[str] = []
    probabilities: list[NDArray[np.float32]] = []
    before = pq.read_table(recipe.teacher).select(["item_id", "model", "p"]) if recipe.teacher else None
    taught = set() if before is None else set(before["item_id"].to_pylist())
    groups = {group.name: group for group in corpus.groups}
    others = dict(pair.split("=") for pair in arguments.models_of)
    for group in corpus.groups:
        rows = corpus.pool(group)[0]
        columns = corpus.pool(groups[others.get(group.name, group.name)])[1]
        rows = np.array([row for row in rows if corpus.table.item_ids[row] not in taught], dtype=np.intp)
        if group.name in arguments.skip or not len(rows):
            continue
        names = [corpus.table.models[column] for column in columns]
        prompts = scored_prompts(corpus, rows)
        logits = np.mean([teacher.logits(prompts, names) for teacher in teachers], axis=0)
        items += [str(identifier) for identifier in corpus.table.item_ids[rows] for _ in names]
        models += names * len(rows)
        probabilities.append(np.round(1.0 / (1.0 + np.exp(-logits.ravel())), DECIMALS))
    p = pa.array(np.concatenate(probabilities), pa.float32())
    table = pa.table({"item_id": items, "model": models, "p": p})
    if before is not None:
        table = pa.concat_tables([before.cast(table.schema), table])
    pq.write_table(table, arguments.output, compression="zstd", compression_level=19)
    print(f"{len(table):,} targets in {arguments.output}")


if __name__ == "__main__":
    main()
