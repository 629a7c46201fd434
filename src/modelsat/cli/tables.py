"""Reading tables of prompts in parts: Parquet, CSV and JSON lines with the columns ``item_id`` and ``prompt``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from modelsat.errors import ConfigurationError, InvalidRequestError
from modelsat.request import extract_instruction

COLUMNS = ("item_id", "prompt")
PART = 4096
"""Rows held in memory at a time."""
_NAMED = 5
_CSV_BLOCK = 1 << 24


@dataclass(frozen=True)
class Items:
    """A table of prompts.

    Attributes:
        path: The file.
        id_type: Type of the column ``item_id``, kept in the output.
        parts: Opens the file and yields record batches with the two columns, from the start at each call.
    """

    path: Path
    id_type: pa.DataType
    parts: Callable[[], Iterator[pa.RecordBatch]]


def open_items(path: Path) -> Items:
    """Open a table by its suffix and check its columns.

    Raises:
        ConfigurationError: The file is missing, unreadable, of an unknown kind, or lacks a column.
    """
    readers = {".parquet": _parquet, ".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines}
    if not path.is_file():
        raise ConfigurationError(f"there is no file {path}")
    try:
        reader = readers[path.suffix.casefold()]
    except KeyError:
        raise ConfigurationError(f"cannot tell what {path} is: its name must end in {', '.join(readers)}") from None
    with _readable(path):
        return reader(path)


def check_items(items: Items) -> int:
    """Read the whole table once and return its number of rows.

    Raises:
        ConfigurationError: It is empty or unreadable, an ``item_id`` is missing, or a prompt has no text; the message
            names the first few.
    """
    total, nameless, blank = 0, 0, 0
    first: list[str] = []
    for identifiers, prompts in rows(items):
        for position, (identifier, prompt) in enumerate(zip(identifiers, prompts, strict=True), start=total + 1):
            nameless += identifier is None or identifier == ""
            if not _has_text(prompt):
                blank += 1
                if len(first) < _NAMED:
                    first.append(f"row {position}" if identifier is None else repr(identifier))
        total += len(prompts)
    if not total:
        raise ConfigurationError(f"{items.path} has no rows")
    if nameless:
        raise ConfigurationError(f"{items.path}: {nameless} of {total} rows have no item_id")
    if blank:
        more = ", ..." if blank > len(first) else ""
        raise ConfigurationError(
            f"{items.path}: {blank} of {total} prompts have no text, item_id {', '.join(first)}{more}; "
            "nothing was scored: remove or fill these rows"
        )
    return total


def rows(items: Items) -> Iterator[tuple[list[Any], list[Any]]]:
    """The table part by part, as lists of identifiers and prompts.

    Raises:
        ConfigurationError: The file turns out to be damaged.
    """
    with _readable(items.path):
        for part in items.parts():
            yield part.column("item_id").to_pylist(), part.column("prompt").to_pylist()


def _has_text(prompt: Any) -> bool:
    if not isinstance(prompt, str) or not prompt.strip():
        return False
    try:
        extract_instruction(prompt)
    except InvalidRequestError:
        return False
    return True


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(f"cannot read {path}: {reason}") from error


def _require(path: Path, names: list[str]) -> None:
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise ConfigurationError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}; "
            f"it has: {', '.join(names) or 'none'}"
        )


def _parquet(path: Path) -> Items:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
    _require(path, schema.names)
    kind = schema.field("prompt").type
    if not _is_text(kind):
        raise ConfigurationError(f"{path}: the column prompt must hold text, not {kind}")

    def parts() -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=PART, columns=list(COLUMNS))

    return Items(path, _plain_type(schema.field("item_id").type), parts)


def _csv(path: Path) -> Items:
    from pyarrow import csv

    def open_file() -> Any:
        return csv.open_csv(
            path,
            read_options=csv.ReadOptions(block_size=_CSV_BLOCK),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=False
            ),
        )

    def parts() -> Iterator[pa.RecordBatch]:
        with open_file() as file:
            for batch in file:
                chosen = batch.select(list(COLUMNS))
                for start in range(0, chosen.num_rows, PART):
                    yield chosen.slice(start, PART)

    with open_file() as file:
        _require(path, file.schema.names)
    return Items(path, pa.string(), parts)


def _json_lines(path: Path) -> Items:
    first = next(_objects(path), None)
    if first is None:
        raise ConfigurationError(f"{path} has no rows")
    _require(path, list(first))
    id_type = pa.int64() if _is_integer(first["item_id"]) else pa.string()

    def parts() -> Iterator[pa.RecordBatch]:
        schema = pa.schema([("item_id", id_type), ("prompt", pa.string())])
        held: list[dict[str, Any]] = []
        for entry in _objects(path):
            held.append({"item_id": entry.get("item_id"), "prompt": _whole(entry.get("prompt"))})
            if len(held) == PART:
                yield pa.RecordBatch.from_pylist(held, schema=schema)
                held = []
        if held:
            yield pa.RecordBatch.from_pylist(held, schema=schema)

    return Items(path, id_type, parts)


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise ConfigurationError(f"cannot read {path}: line {number} is not JSON ({error})") from error
            if not isinstance(entry, dict):
                raise ConfigurationError(f"cannot read {path}: line {number} is not a JSON object")
            yield entry


def _whole(prompt: object) -> object:
    """``prompt`` without halves of surrogate pairs, which JSON can hold and Arrow cannot."""
    return prompt.encode("utf-8", "replace").decode("utf-8") if isinstance(prompt, str) else prompt


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(kind: pa.DataType) -> bool:
    kind = _plain_type(kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view")


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
