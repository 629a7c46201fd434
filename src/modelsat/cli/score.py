"""``modelsat score``: probabilities for a table of prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli.console import (
    ProfilesOption,
    RayAddressOption,
    RayOption,
    WeightsOption,
    check_output,
    examples,
    load_registry,
    progress,
    say,
    split_names,
)
from modelsat.errors import ConfigurationError, InvalidRequestError

if TYPE_CHECKING:
    from modelsat._tables import Table
    from modelsat.candidates import Candidate
    from modelsat.capability.profile import CapabilityProfile

COLUMNS = ("item_id", "prompt")
_ROW_GROUP = 1 << 18
_NAMED = 5

EXAMPLES = examples(
    "modelsat score items.parquet --profiles mine.json --output scores.parquet",
    "modelsat score s3://bucket/items --models gpt-5,gpt-4o --output s3://bucket/scores --ray --ray-address auto",
    "modelsat score items.jsonl --models gpt-5,claude-sonnet-4 --output scores.parquet --force",
)


def score(
    items: Annotated[
        str,
        typer.Argument(
            help="Table with the columns item_id and prompt: .parquet, .csv or .jsonl; with --ray, Parquet files or "
            "folders anywhere, e.g. s3://bucket/items."
        ),
    ],
    scores: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Parquet file to write: item_id, model, p (float32); with --ray, a folder anywhere."
        ),
    ],
    profiles: ProfilesOption = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--models", "-m", metavar="A,B,C", help="Candidates by name, in addition to those of --profiles."),
    ] = None,
    weights: WeightsOption = "modelsat-nano",
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts per call of the network.")] = 256,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output if it exists.")] = False,
    ray: RayOption = False,
    ray_address: RayAddressOption = None,
    ray_workers: Annotated[int, typer.Option(min=1, help="Workers of --ray, each with one CPU.")] = 2,
) -> None:
    """Score every prompt of a table for every candidate.

    The table is read twice: once to check it before any work is done, once to score it. The output appears under its
    name only when it is complete. Needs the extra "tables".
    """
    candidates = _candidates(profiles, split_names(models))
    if ray:
        from modelsat.server.cluster.connection import connect

        connect(ray_address)
        from modelsat.server.cluster.data import score_parquet

        names, described = [c.name for c in candidates], [c.profile for c in candidates]
        options: dict[str, Any] = {"weights": weights, "batch_size": batch_size, "workers": ray_workers, "force": force}
        score_parquet(items, scores, names, described, **options)
        done = f"scores of {len(candidates)} candidates in {scores}"
    else:
        from modelsat._tables import open_table, pyarrow_parquet

        pyarrow_parquet()  # before any work is done
        source, target = Path(items), Path(scores)
        check_output(target, ".parquet", inputs=[source], force=force)
        table = open_table(source, COLUMNS)
        total = _check_items(table)
        with progress("scoring", total) as advance:
            _score_table(table, candidates, target, weights=weights, batch_size=batch_size, advance=advance)
        counts = f"{total:,} prompts × {len(candidates)} candidates = {total * len(candidates):,}"
        done = f"{counts} scores in {scores}"
    say(done)


def _candidates(profiles: Path | None, names: list[str]) -> tuple[Candidate, ...]:
    from modelsat.candidates import resolve_candidates

    registry, extra = load_registry(profiles)
    given = {profile.model for profile in extra}
    entries: list[str | CapabilityProfile] = [*extra, *(name for name in names if name not in given)]
    if not entries:
        raise ConfigurationError(
            "there are no candidates: give --profiles PROFILES.json, or names such as --models gpt-5,claude-sonnet-4"
        )
    return resolve_candidates(entries, registry)


def _check_items(table: Table) -> int:
    """Read the whole table once and return its number of rows; raise for rows that cannot be scored."""
    total, nameless, blank = 0, 0, 0
    first: list[str] = []
    for total, (identifier, prompt) in enumerate(_items(table), start=1):
        nameless += identifier is None or identifier == ""
        if not _has_text(prompt):
            blank += 1
            if len(first) < _NAMED:
                first.append(f"row {total}" if identifier is None else repr(identifier))
    if not total:
        raise ConfigurationError(f"{table.path} has no rows")
    if nameless:
        raise ConfigurationError(f"{table.path}: {nameless} of {total} rows have no item_id")
    if blank:
        more = ", ..." if blank > len(first) else ""
        raise ConfigurationError(
            f"{table.path}: {blank} of {total} prompts have no text, item_id {', '.join(first)}{more}; "
            "nothing was scored: remove or fill these rows"
        )
    return total


def _items(table: Table) -> Iterator[tuple[Any, str | None]]:
    """Yield identifier and prompt of every row, with all identifiers of one type and every prompt text or missing."""
    kind: type | None = None
    for number, row in enumerate(table.rows(COLUMNS), start=1):
        identifier, prompt = row["item_id"], row["prompt"]
        kind = kind or (type(identifier) if identifier is not None else None)
        if identifier is not None and type(identifier) is not kind:
            raise ConfigurationError(f"cannot read {table.path}: row {number} has an item_id of another type")
        if prompt is not None and not isinstance(prompt, str):
            raise ConfigurationError(
                f"cannot read {table.path}: row {number}: the column prompt must hold text, not {type(prompt).__name__}"
            )
        # JSON can hold halves of surrogate pairs, which Arrow and tokenizers cannot
        yield identifier, prompt and prompt.encode("utf-8", "replace").decode("utf-8")


def _has_text(prompt: str | None) -> bool:
    from modelsat.request import extract_instruction

    try:
        return bool(prompt and prompt.strip() and extract_instruction(prompt))
    except InvalidRequestError:
        return False


def _score_table(
    table: Table,
    candidates: Sequence[Candidate],
    destination: Path,
    *,
    weights: str,
    batch_size: int,
    advance: Callable[[int], None],
) -> None:
    """Score every prompt for every candidate and write ``item_id``, ``model`` and ``p`` (float32), prompt by prompt."""
    import pyarrow as pa

    from modelsat._files import written_whole
    from modelsat._tables import pyarrow_parquet
    from modelsat.inference import load_scorer
    from modelsat.server.bulk import score_rows, scores_schema

    scorer, profiles = load_scorer(weights), [candidate.profile for candidate in candidates]
    names = [candidate.name for candidate in candidates]
    schema = scores_schema(_id_type(table))
    items = _items(table)
    with written_whole(destination) as partial, pyarrow_parquet().ParquetWriter(partial, schema) as writer:
        held: list[pa.RecordBatch] = []
        while batch := list(islice(items, batch_size)):
            identifiers, prompts = zip(*batch, strict=True)
            held.append(score_rows(scorer, identifiers, prompts, names, profiles, schema))
            if sum(rows.num_rows for rows in held) >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(held))
                held = []
            advance(len(batch))
        if held:
            writer.write_table(pa.Table.from_batches(held))


def _id_type(table: Table) -> Any:
    """Return the type of the column ``item_id``, which the output keeps."""
    import pyarrow as pa

    if table.path.suffix.casefold() == ".parquet":
        from modelsat._tables import pyarrow_parquet

        kind = pyarrow_parquet().read_schema(table.path).field("item_id").type
        return kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.infer_type([next(table.rows(COLUMNS))["item_id"]])
