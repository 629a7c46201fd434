"""Adapters merged into their base and exported to ONNX, once, into the cache folder.

Kept by what decides: adapters, configuration, base, and the code that exports. A folder is filled under another name
and moved into place, so a process sees all of it or nothing; the first one works and others wait for it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import warnings
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import modelsat.network
from modelsat.errors import CheckpointError, MissingDependencyError
from modelsat.storage.base import ADAPTER_FILE, BASE_WEIGHTS, Base
from modelsat.storage.cache import ENVIRONMENT_VARIABLE, cache_directory, foreign
from modelsat.storage.checkpoint import Checkpoint, read_manifest, write_manifest

_NEEDED = ("torch", "transformers", "onnx", "onnxscript")
_DECIDES = (ADAPTER_FILE, "config.json")


def with_export(checkpoint: Checkpoint, base: Base, *, cache_dir: str | os.PathLike[str] | None = None) -> Checkpoint:
    """The checkpoint of adapters with the ``model.onnx`` and ``psi.onnx`` that :func:`prepare` made; loads no torch.

    Raises:
        CheckpointError: The weights were not prepared yet, or somebody else could have written to what was made.
    """
    root = cache_directory(cache_dir)
    made = root / "exported" / _key(checkpoint, base)
    if not made.is_dir():
        name = checkpoint.pinned or checkpoint.path
        raise CheckpointError(
            f"{checkpoint.version} are adapters over {base}, not merged with it yet: run `modelsat weights prepare "
            f"{name}` once (extra export), or take the cache folder of a machine where it ran ({made} is missing)"
        )
    if (reason := foreign(root, made.parent, made, *sorted(made.iterdir()))) is not None:
        raise CheckpointError(f"the export of {checkpoint.version} is not used: {reason}")
    remedy = f"remove the folder {made} and run `modelsat weights prepare` again"
    return replace(checkpoint, made=Checkpoint(made, read_manifest(made), remedy=remedy))


def prepare(
    checkpoint: Checkpoint,
    base: Base,
    *,
    folder: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Checkpoint:
    """Merge adapters into their base and export the network to ONNX, once; later calls find it made.

    ``folder`` is a local folder of the base, as :meth:`~modelsat.storage.base.Base.weights` takes it.

    Raises:
        CheckpointError: The base cannot be downloaded or is another one, or the cache folder cannot be written.
        MissingDependencyError: What exporting needs is not installed.
    """
    root = cache_directory(cache_dir) / "exported"
    made = root / _key(checkpoint, base)
    if not made.is_dir():
        _require(checkpoint, base)
        try:
            _make(checkpoint, made, folder)
        except OSError as error:
            raise CheckpointError(
                f"the export of {checkpoint.version} cannot be kept in {root} ({error.strerror or error}): name a "
                f"folder that can be written, with room for it, in ${ENVIRONMENT_VARIABLE}"
            ) from error
    return with_export(checkpoint, base, cache_dir=cache_dir)


def _key(checkpoint: Checkpoint, base: Base) -> str:
    parts = [*(checkpoint.digests.get(name, "") for name in _DECIDES), base.sha256, _code()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


@lru_cache(maxsize=1)
def _code() -> str:
    """A hash over the code that merges and exports."""
    digest = hashlib.sha256()
    for path in sorted(Path(next(iter(modelsat.network.__path__))).glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _require(checkpoint: Checkpoint, base: Base) -> None:
    needed = _NEEDED if base.file == BASE_WEIGHTS else (*_NEEDED, "gguf")
    if missing := [name for name in needed if find_spec(name) is None]:
        raise MissingDependencyError.for_extra(
            f"preparing {checkpoint.version} (without {', '.join(missing)} so far)", "export"
        )


def _make(checkpoint: Checkpoint, made: Path, folder: str | os.PathLike[str] | None) -> None:
    from filelock import FileLock

    for parent in (made.parents[1], made.parent):
        parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with FileLock(made.with_suffix(".lock")):
        if made.is_dir():
            return  # by another process, meanwhile
        for left in made.parent.glob(f"{made.name}.*.part"):  # of a process that was killed
            shutil.rmtree(left)
        part = made.parent / f"{made.name}.{os.getpid()}.part"
        part.mkdir(mode=0o755)
        try:
            _export(checkpoint, part, folder)
            write_manifest(part)
            for file in part.iterdir():
                file.chmod(0o644)  # whatever the umask: what a group may write to is not used
            part.replace(made)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _export(checkpoint: Checkpoint, part: Path, base: str | os.PathLike[str] | None) -> None:
    import torch

    from modelsat.network.export import export_onnx
    from modelsat.network.model import ModelSATModel

    checkpoint.verify(_DECIDES)
    model = ModelSATModel.from_pretrained(checkpoint.path, base=base, dtype=torch.float32)
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about itself
        exporter.setLevel(logging.ERROR)
        try:
            export_onnx(model, part)
        finally:
            exporter.setLevel(level)
