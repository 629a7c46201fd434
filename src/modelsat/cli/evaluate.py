"""``modelsat evaluate``: routers beside every baseline, on logged outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelsat.cli.console import RayAddressOption, RayOption, output, progress, split_names

EXAMPLES = """[bold]Examples[/]

modelsat evaluate items.parquet outcomes.parquet --embeddings models/all-MiniLM-L6-v2

modelsat evaluate items.parquet outcomes.parquet --router nano=modelsat-nano --router mine=scores.parquet
--unseen-models gpt-4o,claude-3-haiku --unseen-datasets humaneval --prices prices.csv --embeddings vectors.npy

modelsat evaluate items.parquet outcomes.parquet --policy policy.json --policy "cheapest(target=0.8)" --embeddings v.npy

modelsat evaluate items.csv outcomes.csv --datasets gsm8k --no-embedding-baselines --output report
"""
FILES = ("metrics.json", "report.html")


def evaluate(
    items: Annotated[
        Path, typer.Argument(help="Items: item_id, dataset, prompt and, if known, task (.parquet, .csv or .jsonl).")
    ],
    outcomes: Annotated[
        Path, typer.Argument(help="Outcomes: item_id, model, score in 0..1 and, if known, cost_usd, completion_tokens.")
    ],
    routers: Annotated[
        list[str] | None,
        typer.Option(
            "--router",
            "-r",
            metavar="[NAME=]PATH",
            help="Checkpoint (name or folder), or a table of scores with item_id, model, p. May be repeated; "
            "NAME=PATH,PATH are trainings with other seeds, reported as mean and spread. modelsat-nano if omitted.",
        ),
    ] = None,
    profiles: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Profiles of the models, for checkpoints; the registry's otherwise."),
    ] = None,
    unseen_models: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Models that trained nothing: known by profile only.")
    ] = None,
    unseen_datasets: Annotated[
        list[str] | None, typer.Option(metavar="D,E", help="Data sets none of whose outcomes may be learned from.")
    ] = None,
    datasets: Annotated[
        list[str] | None, typer.Option(metavar="D,E", help="Measure these only; others are still learned from.")
    ] = None,
    models: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Choose among these models only.")] = None,
    known_only: Annotated[
        bool, typer.Option("--known-only", help="Leave models without a profile out instead of refusing them.")
    ] = False,
    core_items: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ids of the items behind the profiles, one per line; the shipped core items if omitted.",
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="model, input_usd_per_mtok, output_usd_per_mtok[, completion_tokens]; the package's table "
            "otherwise, and logged costs.",
        ),
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            "--pair",
            metavar="STRONG,WEAK",
            help="Models for APGR and CPT; the strongest with every clearly weaker one if omitted. May be repeated.",
        ),
    ] = None,
    policies: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="FILE.json|TEXT",
            help="Measure routers and baselines under this policy too: a policy file, or e.g. 'cheapest(target=0.8)'. "
            "May be repeated; tradeoff and cheapest are swept as well.",
        ),
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="For the baselines: folder of a sentence encoder (all-MiniLM-L6-v2), or .npy with one row per item.",
        ),
    ] = None,
    embedding_baselines: Annotated[
        bool, typer.Option(" /--no-embedding-baselines", help="Leave out the baselines that read embeddings.")
    ] = True,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds for baselines that depend on one.")] = 5,
    backend: Annotated[str, typer.Option(help="Backend for checkpoints: onnx or torch.")] = "onnx",
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for metrics.json and report.html.")
    ] = Path("evaluation"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite these files if they exist.")] = False,
    ray: RayOption = False,
    ray_address: RayAddressOption = None,
    ray_workers: Annotated[int, typer.Option(min=1, help="Workers of --ray, each with one CPU.")] = 2,
) -> None:
    """Measure routers on logged outcomes, beside random, best single, oracle, kNN, MLP and others on the same prompts.

    Questions are split by their text into training, validation and test prompts, the same in every run. Three settings
    are reported apart: seen models on new prompts, unseen models, unseen data sets.
    """
    from modelsat.capability import load_profiles
    from modelsat.lab.evaluation import Plan, inputs
    from modelsat.lab.evaluation import evaluate as run
    from modelsat.lab.evaluation.policies import check_policy
    from modelsat.lab.evaluation.report import write_report
    from modelsat.lab.evaluation.routers import parse_router
    from modelsat.lab.evaluation.tables import show
    from modelsat.lab.outcomes import read_outcomes
    from modelsat.lab.outcomes.names import find_profiles
    from modelsat.policies.resolve import weights_for

    named = [check_policy(text) for text in policies or []]
    _check_output(directory, force=force)
    _check_embeddings(embeddings, wanted=embedding_baselines)
    table = read_outcomes(items, outcomes)
    if models:
        table = inputs.of_models(table, split_names(models))
    known = find_profiles(table.models, load_profiles(profiles) if profiles else [])
    if known_only:
        table = inputs.of_models(table, list(known))
    plan = Plan(
        unseen_models=split_names(unseen_models),
        unseen_datasets=split_names(unseen_datasets),
        datasets=split_names(datasets) or None,
        core_items=inputs.core_items(table, core_items),
    )
    money = inputs.money(table, outcomes, prices, pairs or [])
    asked = routers or [str(weights_for(None, *named))]
    measured = [parse_router(text, known, backend) for text in asked]
    if ray:
        from modelsat.server.cluster.connection import connect

        connect(ray_address)
        from modelsat.server.cluster.evaluation import distributed

        measured = [distributed(router, ray_workers) for router in measured]
    vectors = embeddings if embedding_baselines else None
    with progress("checking") as bar:
        found = run(
            table, measured, plan, embeddings=vectors, seeds=seeds, money=money, policies=named, report=bar.report
        )
    directory.mkdir(parents=True, exist_ok=True)
    found.save(directory / FILES[0])
    write_report(found, directory / FILES[1])
    show(found, output())
    output().print(f"\n{directory / FILES[0]}, {directory / FILES[1]}", highlight=False, markup=False, soft_wrap=True)


def _check_output(directory: Path, *, force: bool) -> None:
    from modelsat.errors import ConfigurationError

    if directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"cannot write to {directory}: it is not a folder")
    there = [name for name in FILES if (directory / name).exists()]
    if there and not force:
        raise ConfigurationError(
            f"{directory} holds {', '.join(there)}: choose another folder with --output, or overwrite with --force"
        )


def _check_embeddings(embeddings: Path | None, *, wanted: bool) -> None:
    from modelsat.errors import ConfigurationError

    if wanted and embeddings is None:
        raise ConfigurationError(
            "kNN, MLP and other baselines read sentence embeddings: give --embeddings, the folder of a sentence "
            "encoder such as all-MiniLM-L6-v2 or a .npy file with a row for each item; or leave them out with "
            "--no-embedding-baselines"
        )
    if embeddings is not None and not embeddings.exists():
        raise ConfigurationError(f"there is nothing at --embeddings {embeddings}")
