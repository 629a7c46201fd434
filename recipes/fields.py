"""Fit what tells fields apart, on text embeddings of training prompts; it ships with the weights.

    python recipes/fields.py weights/modelsat-nano [--limit 3000]

Reads the items of ``../shared/data`` (or ``$MODELSAT_DATA``) and writes ``fields.safetensors`` and the manifest. The
field of a prompt follows from its subject in MMLU-Pro, or from its data set. Prints the accuracy on test prompts.
``recipes/package.py`` does the same when weights are packaged.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import outcomes as oc
import pandas as pd
from sklearn.linear_model import LogisticRegression

from modelsat.inference import load_scorer
from modelsat.inference.local import FIELDS_FILE, BatchedScorer, FieldHead
from modelsat.lab.outcomes import read_outcomes, split_by_question
from modelsat.request import extract_instruction
from modelsat.storage.checkpoint import write_manifest

OF_CATEGORY = {
    "math": "mathematics",
    "physics": "physics and engineering",
    "engineering": "physics and engineering",
    "chemistry": "chemistry",
    "biology": "life sciences and medicine",
    "health": "life sciences and medicine",
    "computer science": "computing",
    "economics": "economics and business",
    "business": "economics and business",
    "law": "law",
    "history": "humanities",
    "philosophy": "humanities",
    "psychology": "psychology",
    "other": "general knowledge",
}
OF_DATASET = {"gsm8k": "mathematics", "math_l5": "mathematics", "crux": "computing"}
OTHERS = 300
"""Prompts of each data set beside MMLU-Pro."""
STRENGTH = 10.0
_OPTIONS = re.compile(r"\n+(?:Options:|A[.)] |\(A\) )")


def fit(scorer: BatchedScorer, limit: int, data: Path = oc.DATA) -> FieldHead:
    """Logistic regression on up to ``limit`` training prompts of MMLU-Pro and some of the others."""
    items = data / "items.parquet"
    table = read_outcomes(items, data / "outcomes.parquet")
    known = pd.read_parquet(items, columns=["item_id", "dataset", "category"])
    labels = {
        row.item_id: OF_DATASET.get(row.dataset) or OF_CATEGORY[row.category]
        for row in known.itertuples()
        if row.dataset in OF_DATASET or row.dataset == "mmlu_pro"
    }
    rng = np.random.default_rng(0)
    split = split_by_question(table)

    def sample(part: str, dataset: str, count: int) -> np.ndarray:
        rows = getattr(split.within(table.of_datasets(dataset)), part)
        return np.sort(rng.permutation(rows)[:count])

    def read(rows: np.ndarray, of: Callable[[str], str] = str) -> tuple[np.ndarray, np.ndarray]:
        texts = [of(extract_instruction(prompt)[0]) for prompt in table.prompts[rows]]
        return scorer.embed_texts(texts), np.array([labels[table.item_ids[row]] for row in rows])

    train = [sample("train", "mmlu_pro", limit), *(sample("train", name, OTHERS) for name in OF_DATASET)]
    embeddings, fields = read(np.concatenate(train))
    plain, again = read(np.concatenate(train), question)
    embeddings, fields = np.concatenate([embeddings, plain]), np.concatenate([fields, again])
    model = LogisticRegression(C=STRENGTH, max_iter=500).fit(embeddings, fields)
    head = FieldHead(tuple(map(str, model.classes_)), model.coef_, model.intercept_)
    embeddings, fields = read(sample("test", "mmlu_pro", 500))
    found = np.array(head.names)[head.shares(embeddings).argmax(axis=1)]
    print(f"fields: {len(head.names)}, accuracy {(found == fields).mean():.3f} on 500 test prompts of MMLU-Pro")
    return head


def question(prompt: str) -> str:
    """A question as people ask it, without the options to choose from."""
    return _OPTIONS.split(prompt)[0]


def save_fields(scorer: BatchedScorer, folder: Path, limit: int = 3000) -> None:
    """Fit the classifier and add it to a checkpoint."""
    fit(scorer, limit).save(folder / FIELDS_FILE)
    write_manifest(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--limit", type=int, default=3000, help="training prompts of MMLU-Pro")
    arguments = parser.parse_args()
    scorer = load_scorer(arguments.checkpoint)
    if not isinstance(scorer, BatchedScorer):
        raise SystemExit(f"{arguments.checkpoint} did not load")
    save_fields(scorer, arguments.checkpoint, arguments.limit)
    print(load_scorer(arguments.checkpoint).version)


if __name__ == "__main__":
    main()
