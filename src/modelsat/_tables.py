"""Reading tables: Parquet, CSV, JSON lines, JSON, Inspect's ``.eval``. Parquet needs pyarrow, frames need pandas."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelsat.errors import ConfigurationError, MissingDependencyError, ModelSATError

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".parquet", ".csv", ".jsonl", ".ndjson")
_ROWS_IN_MEMORY = 4096
_LONGEST_CELL = 1 << 30
_DOCUMENT_KEYS = ("data", "runs", "logs", "samples", "results")  # Inspect has both of the last, Promptfoo two results


@dataclass(frozen=True)
class Table:
    """A table on disk, read row by row.

    Attributes:
        path: The file.
        columns: Its columns; those of the first row for JSON, which is the only row that is read to find them.
        error: Raised where the file turns out to be damaged.
    """

    path: Path
    columns: tuple[str, ...]
    error: type[ModelSATError]
    _read: Callable[[Sequence[str] | None], Iterator[dict[str, Any]]]

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows from the start; cells of a CSV file are text, empty ones ``None``.

        Args:
            columns: Columns to read; a row of a JSON file may lack some.
        """
        with readable(self.path, self.error):
            yield from self._read(columns)


def pyarrow_parquet() -> Any:
    """The module ``pyarrow.parquet``.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError.for_extra("Parquet", "tables") from error
    return pq


def open_table(
    path: Path,
    required: Sequence[str] = (),
    *,
    suffixes: Sequence[str] = TABLES,
    error: type[ModelSATError] = ConfigurationError,
) -> Table:
    """Open a table by its suffix and check its columns.

    Raises:
        ModelSATError: As ``error``: the file is missing, unreadable, of an unknown kind, empty, or lacks a column.
        MissingDependencyError: The table is Parquet and pyarrow is not installed.
    """
    suffix = check_suffix(path, suffixes, error)
    with readable(path, error):
        if suffix == ".parquet":
            columns, read = _parquet(path)
        elif suffix == ".csv":
            columns, read = _csv(path)
        else:
            columns, read = _json(path, {".json": _document, ".eval": _samples}.get(suffix, _lines))
    if not columns:
        raise error(f"{path} has no rows")
    check_columns(path, columns, required, error)
    return Table(path, columns, error, read)


def read_frame(
    path: Path,
    required: Sequence[str],
    *,
    text: Sequence[str] = (),
    numbers: Mapping[str, Sequence[str]] | None = None,
    error: type[ModelSATError] = ConfigurationError,
) -> pd.DataFrame:
    """Read a whole table as a data frame.

    Args:
        path: Parquet, CSV or JSON lines.
        required: Columns that must be there.
        text: Columns of a CSV file that are text whatever they look like.
        numbers: What stands for a missing value in a CSV file, by column; elsewhere every cell counts.
        error: What to raise.

    Raises:
        ModelSATError: As ``error``: the file is missing, unreadable, of an unknown kind, empty, or lacks a column.
        MissingDependencyError: pandas, or for Parquet pyarrow, is not installed.
    """
    try:
        import pandas as pd
    except ImportError as missing:
        raise MissingDependencyError.for_extra("reading tables of outcomes", "eval") from missing
    suffix = check_suffix(path, TABLES, error)
    if suffix == ".parquet":
        pyarrow_parquet()
    try:
        if suffix == ".parquet":
            table = pd.read_parquet(path)
        elif suffix == ".csv":
            table = pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=numbers or {})
        else:
            table = pd.read_json(path, lines=True, dtype=False)
    except Exception as failure:  # every reader has errors of its own
        raise error(f"cannot read {path}: {_reason(failure)}") from failure
    check_columns(path, tuple(map(str, table.columns)), required, error)
    if table.empty:
        raise error(f"{path} has no rows")
    return table


def check_suffix(path: Path, suffixes: Sequence[str], error: type[ModelSATError] = ConfigurationError) -> str:
    """The suffix of an existing file, in lower case.

    Raises:
        ModelSATError: As ``error``: there is no such file, or its suffix is not among ``suffixes``.
    """
    if not path.is_file():
        raise error(f"there is no file {path}")
    if (suffix := path.suffix.casefold()) not in suffixes:
        raise error(f"cannot tell what {path} is: its name must end in {', '.join(suffixes)}")
    return suffix


def check_columns(
    path: Path, columns: Sequence[str], required: Sequence[str], error: type[ModelSATError] = ConfigurationError
) -> None:
    """Raise ``error`` if a required column is missing; the message names those that are there."""
    if missing := [column for column in required if column not in columns]:
        raise error(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}; "
            f"it has: {', '.join(columns) or 'none'}"
        )


@contextmanager
def readable(path: Path, error: type[ModelSATError] = ConfigurationError) -> Iterator[None]:
    """Raise ``error`` where a file cannot be read or decoded."""
    try:
        yield
    except ModelSATError:
        raise
    except (OSError, ValueError, csv.Error) as failure:  # pyarrow's own are ValueError or OSError
        raise error(f"cannot read {path}: {_reason(failure)}") from failure


def _reason(failure: Exception) -> str:
    return str(failure).splitlines()[0] if str(failure) else type(failure).__name__


def _parquet(path: Path) -> tuple[tuple[str, ...], Any]:
    pq = pyarrow_parquet()

    def read(columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_IN_MEMORY, columns=None if columns is None else list(columns)):
                yield from batch.to_pylist()

    return tuple(pq.read_schema(path).names), read


def _csv(path: Path) -> tuple[tuple[str, ...], Any]:
    csv.field_size_limit(_LONGEST_CELL)

    def read(columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file, strict=True), start=1):
                if None in row or None in row.values():
                    raise ValueError(f"row {number} does not have one cell for each column")
                yield {name: row[name] or None for name in columns or row}

    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file, strict=True), None)
    if not names:
        raise ValueError("it is empty")
    return tuple(names), read


def _json(path: Path, entries: Callable[[Path], Iterable[dict[str, Any]]]) -> tuple[tuple[str, ...], Any]:
    def read(columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        for entry in entries(path):
            yield entry if columns is None else {name: entry.get(name) for name in columns}

    first = next(iter(entries(path)), None)
    return tuple(map(str, first or ())), read


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                entry = _parsed(line, f"line {number}")
                if not isinstance(entry, dict):
                    raise ValueError(f"line {number} is not a JSON object")
                yield entry


def _document(path: Path) -> list[dict[str, Any]]:
    document = _parsed(path.read_text("utf-8-sig"), "the file")
    while isinstance(document, Mapping):
        document = next((document[key] for key in _DOCUMENT_KEYS if isinstance(document.get(key), list | dict)), None)
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise ValueError("it must be a list of objects, or an object with a list in 'data'")
    return document


def _samples(path: Path) -> Iterator[dict[str, Any]]:
    """The samples of an archive that Inspect writes, one file each."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.startswith("samples/") and name.endswith(".json"):
                    yield _parsed(archive.read(name).decode("utf-8"), name)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{error}; `inspect log convert --to json` writes it as JSON") from error


def _parsed(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{what} is not JSON ({error})") from error
