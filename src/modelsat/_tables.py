"""Reading tables: Parquet, CSV, JSON lines, JSON, Inspect's ``.eval``. Parquet needs pyarrow, frames need pandas."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelsat.errors import ConfigurationError, MissingDependencyError, ModelSATError

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".parquet", ".csv", ".jsonl", ".ndjson")
_ROWS_IN_MEMORY = 4096
_LONGEST_CELL = 1 << 30
_DOCUMENT_KEYS = ("data", "runs", "logs", "samples", "results")  # Inspect has both of the last, Promptfoo two results
_Error = type[ModelSATError]
_Rows = Callable[[Sequence[str] | None], Iterator[dict[str, Any]]]


class Table(NamedTuple):
    """A table on disk, read row by row; ``error`` is raised where the file turns out to be damaged."""

    path: Path
    error: _Error
    read: _Rows

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows from the start, with all or some columns; cells of a CSV file are text, empty ones ``None``."""
        with _readable(self.path, self.error):
            yield from self.read(columns)


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
    path: Path, required: Sequence[str] = (), *, suffixes: Sequence[str] = TABLES, error: _Error = ConfigurationError
) -> Table:
    """Open a table by its suffix and check its columns: of JSON, those of the first row.

    Raises:
        ModelSATError: As ``error``: the file is missing, unreadable, of an unknown kind, empty, or lacks a column.
        MissingDependencyError: The table is Parquet and pyarrow is not installed.
    """
    suffix = _suffix(path, suffixes, error)
    with _readable(path, error):
        if suffix == ".parquet":
            columns, read = _parquet(path)
        elif suffix == ".csv":
            columns, read = _csv(path)
        else:
            columns, read = _json(path, {".json": _document, ".eval": _samples}.get(suffix, _lines))
    if not columns:
        raise error(f"{path} has no rows")
    _check_columns(path, columns, required, error)
    return Table(path, error, read)


def read_frame(
    path: Path, required: Sequence[str], *, text: Sequence[str], numbers: Mapping[str, Sequence[str]], error: _Error
) -> pd.DataFrame:
    """Read Parquet, CSV or JSON lines as a whole.

    Args:
        path: The file.
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
    suffix = _suffix(path, TABLES, error)
    if suffix == ".parquet":
        pyarrow_parquet()
    try:
        if suffix == ".parquet":
            table = pd.read_parquet(path)
        elif suffix == ".csv":
            table = pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=numbers)
        else:
            table = pd.read_json(path, lines=True, dtype=False)
    except Exception as failure:  # every reader has errors of its own
        raise error(f"cannot read {path}: {_reason(failure)}") from failure
    _check_columns(path, list(map(str, table.columns)), required, error)
    if table.empty:
        raise error(f"{path} has no rows")
    return table


def _suffix(path: Path, suffixes: Sequence[str], error: _Error) -> str:
    if not path.is_file():
        raise error(f"there is no file {path}")
    if (suffix := path.suffix.casefold()) not in suffixes:
        raise error(f"cannot tell what {path} is: its name must end in {', '.join(suffixes)}")
    return suffix


def _check_columns(path: Path, columns: Sequence[str], required: Sequence[str], error: _Error) -> None:
    if missing := [column for column in required if column not in columns]:
        raise error(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}; "
            f"it has: {', '.join(columns) or 'none'}"
        )


@contextmanager
def _readable(path: Path, error: _Error) -> Iterator[None]:
    try:
        yield
    except ModelSATError:
        raise
    except (OSError, ValueError, csv.Error) as failure:  # pyarrow's own are ValueError or OSError
        raise error(f"cannot read {path}: {_reason(failure)}") from failure


def _reason(failure: Exception) -> str:
    return str(failure).splitlines()[0] if str(failure) else type(failure).__name__


def _parquet(path: Path) -> tuple[list[str], _Rows]:
    pq = pyarrow_parquet()

    def read(columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_IN_MEMORY, columns=columns and list(columns)):
                yield from batch.to_pylist()

    return pq.read_schema(path).names, read


def _csv(path: Path) -> tuple[list[str], _Rows]:
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
    return names, read


def _json(path: Path, entries: Callable[[Path], Iterable[dict[str, Any]]]) -> tuple[list[str], _Rows]:
    def read(columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        for entry in entries(path):
            yield entry if columns is None else {name: entry.get(name) for name in columns}

    return list(map(str, next(iter(entries(path)), ()))), read


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
