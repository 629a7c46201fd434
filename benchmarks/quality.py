"""Quality of shipped weights beside every simple way of routing, on prompts whose question text was never trained on.

    python benchmarks/quality.py --embeddings DIR_OF_ALL_MINILM_L6_V2 [--router NAME=PATH ...] [--output DIR]

``modelsat evaluate`` on the logged outcomes, with the protocol of this repository: the models left out by
``recipes/outcomes.py``, profiles of core items and figures, and, for data sets that never trained, profiles without
the figure of that very data set.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
import outcomes as oc

from modelsat.capability import CapabilityProfile
from modelsat.cli.console import progress
from modelsat.lab.evaluation import Plan, evaluate, inputs
from modelsat.lab.evaluation.report import write_report
from modelsat.lab.evaluation.routers import parse_router
from modelsat.lab.evaluation.tables import show
from modelsat.lab.outcomes import read_outcomes

DATASETS = ("mmlu_pro", "gsm8k", "math_l5", "crux", "mmlu_routellm", "gsm8k_routellm")
UNSEEN_DATASETS = ("rdc_mmlu", "rdc_cmmlu", "rdc_gsm8k", "rdc_MATH_prealgebra")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--router", action="append", help="NAME=PATH or the name of shipped weights; may be repeated")
    parser.add_argument(
        "--embeddings", type=Path, required=True, help="folder of all-MiniLM-L6-v2, or .npy of all items"
    )
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--datasets", nargs="+", default=[*DATASETS, *UNSEEN_DATASETS])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--backend", default="onnx", choices=("onnx", "torch"))
    parser.add_argument("--output", type=Path, default=Path("runs/quality"))
    arguments = parser.parse_args()
    bank = oc.ProfileBank(oc.load(arguments.data), arguments.data)
    outcomes = arguments.data / "outcomes.parquet"
    table = read_outcomes(arguments.data / "items.parquet", outcomes)

    def profile(dataset: str, model: str) -> CapabilityProfile:
        return bank.elsewhere(model, dataset) if dataset in UNSEEN_DATASETS else bank.profile(model)

    plan = Plan(
        unseen_models=[model for model in oc.UNSEEN_MODELS if model in table.models],
        unseen_datasets=[name for name in UNSEEN_DATASETS if name in arguments.datasets],
        datasets=arguments.datasets,
        core_items=inputs.core_items(table, None),
    )
    routers = [parse_router(text, profile, arguments.backend) for text in arguments.router or ["modelsat-nano"]]
    with progress("checking") as bar:
        found = evaluate(
            table,
            routers,
            plan,
            embeddings=arguments.embeddings,
            seeds=arguments.seeds,
            money=inputs.money(table, outcomes, None, []),
            report=bar.report,
        )
    arguments.output.mkdir(parents=True, exist_ok=True)
    found.save(arguments.output / "metrics.json")
    write_report(found, arguments.output / "report.html")
    show(found, Console())


if __name__ == "__main__":
    main()
