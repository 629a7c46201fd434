"""Scoring with a checkpoint on this machine: what the backends share, and the default one on ONNX Runtime.

Backends share tokenising, passes that fit in memory, the embeddings of profiles, and the fields of an instruction.
"""

from __future__ import annotations

import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelsat.capability.equating import equate, profile_features, statement_features
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.tasks import catalogue_digest
from modelsat.errors import CheckpointError, ConfigurationError, ScoringError
from modelsat.inference.base import Floats, Scores, chunks
from modelsat.network.instruction import PSI_TOKENIZER, TokenBatch, pad, tokenizer_of
from modelsat.storage.arrays import load_arrays, save_arrays
from modelsat.storage.cache import CapabilityCache
from modelsat.storage.checkpoint import Checkpoint

if TYPE_CHECKING:
    import onnxruntime as ort

CAPABILITIES_FILE = "capabilities.safetensors"
FIELDS_FILE = "fields.safetensors"
THREADS_VARIABLE = "MODELSAT_THREADS"

_CELLS = 6_000_000
"""Attention cells (rows x positions^2) of one pass on a device that wants large ones, within about two gigabytes."""
_CELLS_A_THREAD = 60_000
"""The same for each thread of a processor: more no longer fit its cache, which halves the prompts a second."""
_DESCRIPTIONS, _DESCRIBED = 64, 8_000
"""Task descriptions that are read in one pass, and their characters."""
_DESCRIPTIONS_KEPT = 8_192
"""Embeddings of task descriptions kept, about 12 MB."""
_SETS_KEPT = 256
"""Sets of candidates whose embeddings are kept side by side."""
_SLOWER = ("SkipLayerNormFusion", "BiasGeluFusion")
"""Fusions of ONNX Runtime whose kernels take longer on a CPU than the operators they replace."""


@dataclass(frozen=True)
class FieldHead:
    """Shares of the fields, read off a text embedding e: softmax(W e + b).

    It ships with the weights, made by ``recipes/fields.py`` from the subjects of training prompts.
    """

    names: tuple[str, ...]
    weight: Floats  # W, shape (fields, width)
    bias: Floats  # b, shape (fields,)

    def shares(self, embeddings: Floats) -> Floats:
        """Share of each field, shape (texts, fields), from text embeddings of shape (texts, width)."""
        logits = embeddings @ self.weight.T + self.bias
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Floats = raised / raised.sum(axis=1, keepdims=True)
        return shares

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> FieldHead | None:
        """The classifier of a checkpoint; ``None`` if it has none.

        Raises:
            CheckpointError: The file is damaged.
        """
        if FIELDS_FILE not in checkpoint.digests:
            return None
        path = checkpoint.path / FIELDS_FILE
        try:
            stored, about = load_arrays(checkpoint.read(FIELDS_FILE))
            names = tuple(json.loads(about["fields"]))
            weight, bias = (stored[key].astype(np.float32) for key in ("weight", "bias"))
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{path} holds no field classifier: {error}") from error
        if not len(names) == len(weight) == len(bias):
            raise CheckpointError(f"{path} does not hold a row for each of its fields")
        return cls(names, weight, bias)

    def save(self, path: Path) -> None:
        """Write the classifier as it ships with a checkpoint."""
        stored = {key: np.asarray(getattr(self, key), dtype=np.float16) for key in ("weight", "bias")}
        save_arrays(stored, path, metadata={"fields": json.dumps(self.names)})


class BatchedScorer(ABC):
    """A :class:`~modelsat.inference.base.Scorer` over a checkpoint; backends say how to run the network.

    Args:
        checkpoint: The verified checkpoint folder.
        threads: Threads of a pass on a processor, which bound its size; not given for devices that want large passes.
        cache: Keeps the capability embeddings of profiles that do not ship with the weights; in memory alone if not
            given.

    Attributes:
        version: Name and content hash of the weights.
    """

    def __init__(
        self, checkpoint: Checkpoint, threads: int | None = None, cache: CapabilityCache | None = None
    ) -> None:
        config = checkpoint.json("config.json")
        self.version = checkpoint.version
        self._checkpoint = checkpoint
        self._cells = _CELLS if threads is None else _CELLS_A_THREAD * threads
        self._pad_id = int(config["phi_config"].get("pad_token_id") or 0)
        psi = checkpoint.read(PSI_TOKENIZER) if config.get("psi_config") else None
        try:
            self._tokenizer = tokenizer_of(config, checkpoint.read("tokenizer.json"), psi)
        except (ConfigurationError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{checkpoint.path / 'config.json'} cannot be used: {error}") from error
        shared = config.get("inquiry_position") == "shared"
        self._branch = 1 if shared else 1 + len(config["inquiry_ids"])
        self._one_pass = config["order"] == "instruction_first"
        self._tasks: tuple[str, ...] = tuple(config["reference_tasks"])
        self._shipped = _shipped_capabilities(checkpoint)
        self._field_head = FieldHead.of(checkpoint)
        self._cache = cache or CapabilityCache(checkpoint.version, on_disk=False)
        self._sets: dict[tuple[str, ...], Floats] = {}
        self._descriptions: dict[str, Floats] = {}
        self._lock = threading.Lock()

    def capabilities(self, profiles: Sequence[CapabilityProfile]) -> Floats:
        """Capability embeddings e_c = W psi(c), shape (len(profiles), width): shipped, kept, or encoded now.

        Raises:
            ScoringError: The network returned values that are not finite.
        """
        key = tuple([profile.digest for profile in profiles])
        rows = self._sets.get(key)
        if rows is None:
            others = {p.digest: p for p in profiles if p.digest not in self._shipped}
            found = self._cache.get_or_encode(list(others.values()), self._encode_all) if others else ()
            own = dict(zip(others, found, strict=True))
            rows = np.stack([own[digest] if digest in own else self._shipped[digest] for digest in key])
            if len(self._sets) >= _SETS_KEPT:
                self._sets = {}
            self._sets[key] = rows
        return rows

    def _encode_all(self, profiles: Sequence[CapabilityProfile]) -> Floats:
        words = self._embed_descriptions(sorted({s.description for p in profiles for s in p.statements}))
        return np.stack([self._encode(profile, words) for profile in profiles])

    def _encode(self, profile: CapabilityProfile, words: Mapping[str, Floats]) -> Floats:
        # Statements in a fixed order, so that the order given cannot change even the last bit.
        statements = sorted(profile.statements, key=lambda s: (s.task, s.description, s.accuracy, s.items or 0))
        ordered = profile.model_copy(update={"statements": tuple(statements)})
        descriptions = np.stack([words[statement.description] for statement in statements])
        equated = equate(ordered)
        features, overall = statement_features(ordered, equated), profile_features(ordered, equated, self._tasks)
        capability: Floats = self._pool(descriptions[None], features[None], overall[None])[0]
        return capability

    def score(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
        """Calibrated P(success) and shares of the fields, from the same passes; see :class:`Scorer`.

        Raises:
            ScoringError: The network returned something that is not a probability.
        """
        capabilities, head = self.capabilities(profiles), self._field_head
        ids = self._tokenizer.ids(texts)
        if len(ids) == 1:
            p, shares = self._pass(ids, capabilities)
        else:
            p = np.empty((len(ids), len(profiles)), dtype=np.float32)
            shares = np.empty((len(ids), len(head.names) if head is not None else 0), dtype=np.float32)
            for chosen in self._passes(ids, len(profiles)):
                p[chosen], shares[chosen] = self._pass([ids[index] for index in chosen], capabilities)
        if not np.isfinite(p).all():
            raise ScoringError(f"the network of {self.version} returned values that are not finite")
        return Scores(p, self.version, head.names if head is not None else (), shares)

    def _pass(self, ids: Sequence[Sequence[int]], capabilities: Floats) -> tuple[Floats, Floats]:
        """P(success) and shares of the fields, from one pass."""
        batch = pad(ids, self._pad_id)
        if self._field_head is None:
            return self._probabilities(batch, capabilities), np.empty((len(ids), 0), dtype=np.float32)
        p, states = self._score_and_read(batch, capabilities)
        return p, self._field_head.shares(states)

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        """The network's text embeddings of instructions or task descriptions, shape (len(texts), width)."""
        return np.concatenate([self._embed(self._tokenizer.descriptions([text])) for text in texts])

    def _passes(self, ids: Sequence[Sequence[int]], candidates: int) -> Iterator[list[int]]:
        """Positions of instructions that go through the network together.

        They are grouped by length, so that a pass pads little and its attention has ``cells`` at most, or one row.
        """
        lengths = [len(row) for row in ids]
        rows, extra = (1, candidates * self._branch) if self._one_pass else (candidates, self._branch)
        group: list[int] = []
        for index in sorted(range(len(lengths)), key=lengths.__getitem__):
            if group and (len(group) + 1) * rows * (lengths[index] + extra) ** 2 > self._cells:
                yield group
                group = []
            group.append(index)
        if group:
            yield group

    def _embed_descriptions(self, descriptions: Sequence[str]) -> dict[str, Floats]:
        with self._lock:
            if len(self._descriptions) > _DESCRIPTIONS_KEPT:
                self._descriptions.clear()
            missing = [text for text in descriptions if text not in self._descriptions]
            for chunk in chunks(missing, _DESCRIPTIONS, _DESCRIBED):
                self._descriptions.update(zip(chunk, self._embed(self._tokenizer.descriptions(chunk)), strict=True))
            return {text: self._descriptions[text] for text in descriptions}

    @abstractmethod
    def _probabilities(self, batch: TokenBatch, capabilities: Floats) -> Floats:
        """P(success), shape (batch, candidates)."""

    def _score_and_read(self, batch: TokenBatch, capabilities: Floats) -> tuple[Floats, Floats]:
        """P(success) and text embeddings; backends that have both from one pass override it."""
        return self._probabilities(batch, capabilities), self._embed(batch)

    @abstractmethod
    def _embed(self, batch: TokenBatch) -> Floats:
        """Text embeddings of task descriptions, shape (batch, width)."""

    @abstractmethod
    def _pool(self, descriptions: Floats, features: Floats, overall: Floats) -> Floats:
        """e_c of profiles with the same number of statements, shape (profiles, width)."""


class ONNXScorer(BatchedScorer):
    """Scores with ``model.onnx``, without torch; ``psi.onnx`` is loaded only when a profile has to be encoded.

    Without ``threads``, ``$MODELSAT_THREADS`` or ONNX Runtime (physical cores) chooses the threads of a pass.
    """

    def __init__(
        self, checkpoint: Checkpoint, threads: int | None = None, cache: CapabilityCache | None = None
    ) -> None:
        self._threads = threads if threads is not None else _threads()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        super().__init__(checkpoint, self._threads or cores, cache)  # about the threads that ONNX Runtime chooses
        self._phi = self._session("model.onnx")
        self._width = int(self._phi.get_inputs()[2].shape[1])

    @cached_property
    def _psi(self) -> ort.InferenceSession:
        return self._session("psi.onnx")

    def _session(self, name: str) -> ort.InferenceSession:
        # Since 1.29 ONNX Runtime reports to its maker, from its import on, unless this is set before.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        # Threads wait for each other awake inside a pass and sleep as soon as it has ended, as a router shares its
        # machine with what it routes for.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        # A graph may name other files that hold its weights, which no manifest lists: none is ever found.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        graph = self._checkpoint.read(name)
        try:
            session = ort.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(_SLOWER)
            )
        except Exception as error:
            raise CheckpointError(f"ONNX Runtime cannot load {self._checkpoint.path / name}: {error}") from error
        session._model_bytes = b""  # It keeps the file to start again on other processors, and there is none.
        return session

    def _run(self, batch: TokenBatch, capabilities: Floats, *outputs: str) -> list[Floats]:
        rows = np.ascontiguousarray(capabilities, dtype=np.float32)
        feed = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "capabilities": rows}
        return self._phi.run(list(outputs), feed)  # type: ignore[no-any-return]

    def _probabilities(self, batch: TokenBatch, capabilities: Floats) -> Floats:
        return self._run(batch, capabilities, "probabilities")[0]

    def _score_and_read(self, batch: TokenBatch, capabilities: Floats) -> tuple[Floats, Floats]:
        probabilities, states = self._run(batch, capabilities, "probabilities", "text_embeddings")
        return probabilities, states

    def _embed(self, batch: TokenBatch) -> Floats:
        # The instruction reads no branch, so any one candidate will do.
        return self._run(batch, np.zeros((1, self._width), dtype=np.float32), "text_embeddings")[0]

    def _pool(self, descriptions: Floats, features: Floats, overall: Floats) -> Floats:
        mask = np.ones(features.shape[:2], dtype=np.float32)
        feed = {"descriptions": descriptions, "features": features, "overall": overall, "mask": mask}
        return self._psi.run(["capabilities"], feed)[0]  # type: ignore[no-any-return]


def _threads() -> int:
    value = os.environ.get(THREADS_VARIABLE, "0")
    if not value.isdigit():
        raise ConfigurationError(
            f"${THREADS_VARIABLE} must be a number of threads (0: let ONNX Runtime choose), not {value!r}"
        )
    return int(value)


def _shipped_capabilities(checkpoint: Checkpoint) -> dict[str, Floats]:
    """Shipped capability embeddings by profile digest; none if the task catalogue has changed since."""
    if CAPABILITIES_FILE not in checkpoint.digests:
        return {}
    stored, about = load_arrays(checkpoint.read(CAPABILITIES_FILE))
    if about.get("catalogue") != catalogue_digest():
        return {}
    return dict(zip(json.loads(about["profiles"]), stored["embeddings"], strict=True))


def save_capabilities(scorer: BatchedScorer, profiles: Sequence[CapabilityProfile], path: Path) -> None:
    """Write the capability embeddings of ``profiles`` in the form that ships with a checkpoint."""
    distinct = list({profile.digest: profile for profile in profiles}.values())
    about = {"catalogue": catalogue_digest(), "profiles": json.dumps([profile.digest for profile in distinct])}
    save_arrays({"embeddings": scorer.capabilities(distinct)}, path, metadata=about)
