"""Checkpoints of adapters and heads only: the public base that they are merged into."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from modelsat.errors import CheckpointError, ConfigurationError
from modelsat.storage.checkpoint import Checkpoint, sha256
from modelsat.storage.hub import HubReference, Token, download, parse_reference

ADAPTER_FILE = "adapter.safetensors"
"""File of a checkpoint: low-rank adapters and heads, in place of ``model.safetensors``."""
BASE_FILE = "base.json"
BASE_WEIGHTS = "model.safetensors"
"""The base's own file, where it is not a GGUF file."""
ENVIRONMENT_VARIABLE = "MODELSAT_BASE"


@dataclass(frozen=True, slots=True)
class Base:
    """The network that adapters belong to."""

    repo: str  # `"org/name"` on the Hub
    revision: str  # a commit
    sha256: str  # of its weights, hex
    layers: int  # its first layers, as many as are used
    file: str = BASE_WEIGHTS  # name of its weights: `model.safetensors`, or a GGUF file

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Base | None:
        """The base of a checkpoint; ``None`` for a checkpoint that holds the whole network.

        Raises:
            CheckpointError: ``base.json`` is missing or damaged, or names no commit.
        """
        if ADAPTER_FILE not in checkpoint.digests:
            return None
        content = checkpoint.json(BASE_FILE)
        try:
            base = cls(
                str(content["repo"]),
                str(content["revision"]),
                str(content["sha256"]),
                int(content["layers"]),
                str(content.get("file", BASE_WEIGHTS)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{checkpoint.path / BASE_FILE} names no base: {error!r}") from error
        found = parse_reference(str(base))
        if found is None or not found.pinned or Path(base.file).name != base.file:
            raise CheckpointError(f"{checkpoint.path / BASE_FILE} names no base at a commit, but {str(base)!r}")
        return base

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}"

    def save(self, folder: Path) -> None:
        """Write ``base.json`` into a checkpoint folder."""
        (folder / BASE_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")

    def weights(self, folder: str | os.PathLike[str] | None = None, token: Token = None) -> Path:
        """The base's weights, checked: of a local folder (``$MODELSAT_BASE`` if not given), else from the Hub.

        Raises:
            CheckpointError: They cannot be fetched, or are not those that the adapters were trained on.
        """
        given = folder or os.environ.get(ENVIRONMENT_VARIABLE)
        if given:
            path = Path(given) / self.file
            if not path.is_file():
                raise CheckpointError(
                    f"{path} is missing: {_where()} must hold the {self.file} of {self}; without it the Hub is asked"
                )
            self._check(path, f"get the file of that commit, or take the Hub's: {_where()} need not be set")
            return path
        wanted = HubReference(self.repo, self.revision)
        try:
            path = download(wanted, self.file, CheckpointError, token)
        except CheckpointError as error:
            raise CheckpointError(
                f"the base of the adapters cannot be fetched: {error}. Or give it in a folder: {_where()} must hold "
                f"its {self.file}"
            ) from error
        try:
            self._check(path, "it was thrown away; run it again, and tell the author if it stays so")
        except CheckpointError:
            for wrong in {path, path.resolve()}:
                wrong.unlink(missing_ok=True)
            raise
        return path

    def _check(self, path: Path, remedy: str) -> None:
        found = sha256(path)
        if found != self.sha256:
            raise CheckpointError(
                f"{path} is not the base that the adapters were trained on, {self} (SHA-256 {found[:12]}..., expected "
                f"{self.sha256[:12]}...): {remedy}"
            )


def describe(repository: str, weights: Path, layers: int) -> Base:
    """The base that a run trains adapters on: ``weights`` are the file of the ``repository``, a commit on the Hub.

    Raises:
        ConfigurationError: The repository is not pinned to a commit.
    """
    found = parse_reference(repository)
    if found is None or not found.pinned:
        raise ConfigurationError(
            f"adapter_of must be a repository on the Hub at a commit, org/name@<40 hexadecimal "
            f"digits>, not {repository!r}"
        )
    return Base(found.repo, found.revision, sha256(weights), layers, weights.name)


def _where() -> str:
    return f"the folder in ${ENVIRONMENT_VARIABLE} (in Python also base=...)"
