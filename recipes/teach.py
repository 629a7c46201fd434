"""P(success) of training prompts by one or more trained networks, as soft targets for a smaller one.

    python recipes/teach.py runs/mini/checkpoint runs/nano-0/checkpoint --output runs/teacher.parquet

Scores the training prompts of MMLU-Pro, the ZeroEval data sets and RouteLLM's MMLU (whose prompts were answered by two
models only) for every model that trains, and averages the networks' logits. A recipe reads the table as ``teacher``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

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

DATASETS = {
    "mmlu_pro": ("mmlu_pro", 1.0),
    "gsm8k": ("zeroeval", 1.0),
    "math_l5": ("zeroeval", 1.0),
    "crux": ("zeroeval", 1.0),
    "mmlu_routellm": ("mmlu_pro", 0.4),
}
"""Data set -> (group whose models are scored, share of its prompts)."""
CHUNK = 256


def calibrated_logits(
    folder: Path, corpus: Corpus, rows: NDArray[np.intp], names: Sequence[str]
) -> NDArray[np.float32]:
    """Logits of P(success) of a checkpoint, shape (rows, names)."""
    model = ModelSATModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = InstructionTokenizer.from_file(
        folder / "tokenizer.json", max_tokens=model.config.max_instruction_tokens, head_share=model.config.head_share
    )
    sampler = ProfileSampler(corpus.table, corpus.core, corpus.profiles)
    found = np.zeros((len(rows), len(names)), dtype=np.float32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
        encoded = capabilities(model, tokenizer, [sampler.full(name) for name in names])
        ids = tokenizer.ids(corpus.table.prompts[rows].tolist())
        order = np.argsort([len(row) for row in ids])
        for chosen in track(np.array_split(order, max(1, len(order) // CHUNK)), str(folder)):
            found[chosen] = predict(model, [ids[index] for index in chosen], encoded)
    return found * model.config.scale + model.config.shift


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--recipe", type=Path, default=Path("recipes/exams.yaml"))
    parser.add_argument("--output", type=Path, default=Path("runs/teacher.parquet"))
    arguments = parser.parse_args()
    os.environ.setdefault("MODELSAT_DATA", "../shared/data")
    corpus = read_recipe(arguments.recipe).corpus()
    table, groups = corpus.table, {group.name: group for group in corpus.groups}
    rng = np.random.default_rng(0)
    items: list[str] = []
    models: list[str] = []
    probabilities: list[np.ndarray] = []
    for dataset, (group, share) in DATASETS.items():
        rows = np.intersect1d(corpus.split.train, table.of_datasets(dataset))
        rows = np.sort(rng.permutation(rows)[: round(len(rows) * share)])
        names = [table.models[column] for column in corpus.pool(groups[group])[1]]
        several = [calibrated_logits(folder, corpus, rows, names) for folder in arguments.checkpoints]
        logits = np.mean(several, axis=0)
        items += [identifier for identifier in table.item_ids[rows] for _ in names]
        models += names * len(rows)
        probabilities.append(1.0 / (1.0 + np.exp(-logits.ravel())))
    p = pa.array(np.concatenate(probabilities), pa.float32())
    pq.write_table(pa.table({"item_id": items, "model": models, "p": p}), arguments.output)
    print(f"{len(items):,} targets in {arguments.output}")


if __name__ == "__main__":
    main()
