"""Bulk scoring with Ray Data: Parquet in, Parquet out, on any file system that pyarrow reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError, InvalidRequestError, ModelSATError
from modelsat.server.bulk import score_rows, scores_schema

_COLUMNS = ("item_id", "prompt")
_CPUS = 1.0


class ScoreTable:
    """A worker of Ray Data: holds the network and scores batches of prompts.

    Args:
        weights: Name of shipped weights, or a checkpoint folder on every node.
        names: Of the candidates.
        profiles: Of the candidates.
        backend: ``"onnx"`` or ``"torch"``.
        version: Version that the weights must have, if it matters.
    """

    def __init__(
        self,
        weights: str,
        names: Sequence[str],
        profiles: Sequence[dict[str, Any]],
        backend: str = "onnx",
        version: str | None = None,
    ) -> None:
        import os

        os.environ.setdefault("MODELSAT_THREADS", str(round(_CPUS)))
        from modelsat.inference import load_scorer

        self._scorer = load_scorer(weights, backend, keep=False)
        if version is not None and self._scorer.version != version:
            raise ConfigurationError(f"a node of the cluster has {self._scorer.version} where {version} is needed")
        self._names = list(names)
        self._profiles = [CapabilityProfile(**profile) for profile in profiles]

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Rows of item, model and P(success) for a table of items and prompts."""
        identifiers, prompts = batch.column("item_id").to_pylist(), batch.column("prompt").to_pylist()
        blank = [name for name, prompt in zip(identifiers, prompts, strict=True) if not prompt]
        if blank:
            raise InvalidRequestError(f"prompts without text, item_id {', '.join(map(str, blank[:5]))}")
        schema = scores_schema(batch.schema.field("item_id").type)
        rows = score_rows(self._scorer, identifiers, prompts, self._names, self._profiles, schema)
        return pa.Table.from_batches([rows])


def score_parquet(
    items: str,
    output: str,
    names: Sequence[str],
    profiles: Sequence[CapabilityProfile],
    *,
    weights: str,
    batch_size: int,
    workers: int,
    force: bool = False,
) -> None:
    """Score every prompt of Parquet files for every candidate, into a folder of Parquet files.

    Args:
        items: A Parquet file or a folder of them with the columns ``item_id`` and ``prompt``, e.g. ``s3://bucket/items``.
        output: Folder to write, on any file system: ``item_id``, ``model``, ``p`` (float32).
        names: Of the candidates.
        profiles: Of the candidates.
        weights: Name of shipped weights, or a checkpoint folder on every node.
        batch_size: Prompts of a call of the network.
        workers: Workers, each with the network and one CPU.
        force: Overwrite the output if it exists.

    Raises:
        ConfigurationError: The input lacks a column, the output exists, or a worker failed; the message says why.
    """
    import ray.data
    from ray.data import SaveMode

    def work() -> None:
        table = ray.data.read_parquet(items, columns=list(_COLUMNS))
        scored = _scored(table, workers, batch_size, (weights, list(names), [p.model_dump() for p in profiles]))
        scored.write_parquet(output, mode=SaveMode.OVERWRITE if force else SaveMode.ERROR)

    _told_plainly(work)


def score_matrix(
    prompts: Sequence[str],
    profiles: Sequence[CapabilityProfile],
    *,
    weights: str,
    backend: str,
    version: str,
    batch_size: int,
    workers: int,
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """P(success), shape (prompts, profiles), computed on the cluster and brought here.

    Args:
        prompts: The prompts.
        profiles: The models' profiles.
        weights: Name of shipped weights, or a checkpoint folder on every node.
        backend: ``"onnx"`` or ``"torch"``.
        version: Version that the weights must have on every node.
        batch_size: Prompts of a call of the network.
        workers: Workers, each with the network and one CPU.
        progress: Told the number of prompts that were done since the last call.

    Raises:
        ConfigurationError: A worker failed; the message says why.
    """
    import ray.data

    names = [str(column) for column in range(len(profiles))]
    result = np.full((len(prompts), len(profiles)), np.nan, dtype=np.float32)

    def work() -> None:
        table = pa.table({"item_id": pa.array(range(len(prompts)), pa.int64()), "prompt": list(prompts)})
        definitions = [profile.model_dump() for profile in profiles]
        arguments = (weights, names, definitions, backend, version)
        blocks = -(-len(prompts) // batch_size)
        scored = _scored(ray.data.from_arrow(table).repartition(blocks), workers, batch_size, arguments)
        for batch in scored.iter_batches(batch_size=None, batch_format="pyarrow"):
            rows = batch.column("item_id").to_numpy()
            result[rows, batch.column("model").cast(pa.int64()).to_numpy()] = batch.column("p").to_numpy()
            progress(len(rows) // max(1, len(profiles)))

    _told_plainly(work)
    return result


def _scored(table: Any, workers: int, batch_size: int, arguments: tuple[Any, ...]) -> Any:
    from ray.data import ActorPoolStrategy

    return table.map_batches(
        ScoreTable,
        fn_constructor_args=arguments,
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=ActorPoolStrategy(min_size=1, max_size=workers),
        num_cpus=_CPUS,
    )


def _told_plainly(work: Callable[[], None]) -> None:
    """Run ``work`` and turn what Ray makes of a failure into one of our own errors."""
    import ray.data
    from ray.exceptions import RayError

    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        work()
    except ModelSATError:
        raise
    except (RayError, ValueError, OSError, pa.ArrowException) as error:
        raise ConfigurationError(f"the cluster could not score: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The innermost cause, in one line."""
    cause = getattr(error, "cause", None) or error.__cause__
    if isinstance(cause, BaseException) and cause is not error:
        return _reason(cause)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:400]
