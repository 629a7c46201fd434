"""How hard the prompts of each field are to the known models, so that a prompt can be placed among them.

    python recipes/difficulty.py [--weights modelsat-nano] [--each 200] [--data DIR]

Scores up to ``--each`` prompts of every data set, exams and traffic, against the shipped registry. The difficulty of a
prompt is one minus the mean P(success) of the known models; its field is that with the largest share. The quantiles of
each field (0 %, 5 %, ... 100 %) go into ``src/modelsat/cli/data/difficulty.json``, which ``modelsat explain`` reads.
Run it when weights or the registry change.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import outcomes as oc
import pandas as pd
from rich.console import Console
from rich.progress import track

from modelsat.capability import Registry
from modelsat.inference import load_scorer
from modelsat.request import extract_instruction
from modelsat.storage.checkpoint import SHIPPED, open_checkpoint

TABLES = ("items.parquet", "traffic_items.parquet")
QUANTILES = np.linspace(0.0, 1.0, 21)
FEWEST = 40
"""Prompts of a field below which it has no quantiles of its own."""
BATCH = 32
OUTPUT = Path(__file__).parents[1] / "src" / "modelsat" / "cli" / "data" / "difficulty.json"


def prompts(data: Path, each: int) -> list[str]:
    """Up to ``each`` different prompts of every data set."""
    items = pd.concat([pd.read_parquet(data / table, columns=["dataset", "prompt"]) for table in TABLES])
    items = items[items.prompt.str.strip() != ""].drop_duplicates("prompt").sample(frac=1.0, random_state=0)
    return [extract_instruction(prompt)[0] for prompt in items.groupby("dataset").head(each).prompt]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default=SHIPPED)
    parser.add_argument("--each", type=int, default=200, help="prompts of a data set, at most (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=oc.DATA)
    arguments = parser.parse_args()
    scorer, known = load_scorer(arguments.weights), list(Registry.shipped())
    texts = prompts(arguments.data, arguments.each)
    difficulty, field = [], []
    for start in track(range(0, len(texts), BATCH), console=Console(stderr=True)):
        scores = scorer.score(texts[start : start + BATCH], known)
        difficulty += (1.0 - scores.p.mean(axis=1)).tolist()
        field += [scores.fields[int(top)] for top in scores.shares.argmax(axis=1)]
    found = pd.DataFrame({"field": field, "difficulty": difficulty})
    fields = {
        str(name): [round(float(value), 3) for value in np.quantile(own.difficulty, QUANTILES)]
        for name, own in found.groupby("field")
        if len(own) >= FEWEST
    }
    stored = json.loads(OUTPUT.read_text("utf-8")) if OUTPUT.exists() else {}
    stored[scorer.version.partition("@")[0]] = {
        "network": open_checkpoint(arguments.weights).digests["model.onnx"],
        "prompts": len(texts),
        "fields": fields,
    }
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", "utf-8")
    print(found.groupby("field").difficulty.describe().round(3).to_string())


if __name__ == "__main__":
    main()
