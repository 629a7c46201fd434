"""What both backends share: tokenising, splitting work into passes that fit in memory, and reading profiles."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelsat.capability.equating import equate, profile_features, statement_features
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.tasks import catalogue_digest
from modelsat.errors import ScoringError
from modelsat.inference.base import Floats, Scores
from modelsat.inference.fields import FieldHead
from modelsat.network.instruction import PSI_TOKENIZER, InstructionTokenizer, TokenBatch, pad, tokenizer_of
from modelsat.storage.arrays import load_arrays, save_arrays
from modelsat.storage.cache import CapabilityCache
from modelsat.storage.checkpoint import Checkpoint

CAPABILITIES_FILE = "capabilities.safetensors"

_CELLS = 6_000_000
"""Attention cells (rows x positions^2) of one pass on a device that wants large ones, within about two gigabytes."""
_CELLS_A_THREAD = 60_000
"""The same for each thread of a processor: more no longer fit its cache, which halves the prompts a second."""
_DESCRIPTIONS = 64
_DESCRIPTIONS_KEPT = 8_192
"""Embeddings of task descriptions kept, about 12 MB."""
_SETS_KEPT = 256
"""Sets of candidates whose embeddings are kept side by side."""


class BatchedScorer(ABC):
    """A :class:`~modelsat.inference.base.Scorer` over a checkpoint; backends say how to run the network.

    Args:
        checkpoint: The verified checkpoint folder.
        threads: Threads of a pass on a processor, which bound its size; not given for devices that want large passes.
        cache: Keeps the capability embeddings of profiles that do not ship with the weights; in memory alone if not
            given.
    """

    def __init__(
        self, checkpoint: Checkpoint, threads: int | None = None, cache: CapabilityCache | None = None
    ) -> None:
        config = checkpoint.json("config.json")
        self._checkpoint = checkpoint
        self._version = checkpoint.version
        self._cells = _CELLS if threads is None else _CELLS_A_THREAD * threads
        self._pad_id = int(config["phi_config"].get("pad_token_id") or 0)
        self._tokenizer = _tokenizer(checkpoint, config)
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

    @property
    def version(self) -> str:
        """Name and content hash of the weights."""
        return self._version

    def capabilities(self, profiles: Sequence[CapabilityProfile]) -> Floats:
        """Capability embeddings e_c = W psi(c), shape (len(profiles), width): shipped, kept, or encoded now.

        Raises:
            ScoringError: The network returned values that are not finite.
        """
        key = tuple([profile.digest for profile in profiles])
        rows = self._sets.get(key)
        if rows is None:
            rows = self._find(dict(zip(key, profiles, strict=True)), key)
            if len(self._sets) >= _SETS_KEPT:
                self._sets = {}
            self._sets[key] = rows
        return rows

    def _find(self, profiles: Mapping[str, CapabilityProfile], key: Sequence[str]) -> Floats:
        others = [profile for digest, profile in profiles.items() if digest not in self._shipped]
        found = self._cache.get_or_encode(others, self._encode_all) if others else ()
        own = dict(zip((profile.digest for profile in others), found, strict=True))
        return np.stack([own[digest] if digest in own else self._shipped[digest] for digest in key])

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
        """Positions of instructions that go through the network together."""
        lengths = [len(row) for row in ids]
        if self._one_pass:
            return _passes(lengths, candidates * self._branch, self._cells)
        return _passes(lengths, self._branch, self._cells, rows=candidates)

    def _embed_descriptions(self, descriptions: Sequence[str]) -> dict[str, Floats]:
        with self._lock:
            if len(self._descriptions) > _DESCRIPTIONS_KEPT:
                self._descriptions.clear()
            missing = [text for text in descriptions if text not in self._descriptions]
            for start in range(0, len(missing), _DESCRIPTIONS):
                chunk = missing[start : start + _DESCRIPTIONS]
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


def _tokenizer(checkpoint: Checkpoint, config: Mapping[str, Any]) -> InstructionTokenizer:
    psi = checkpoint.read(PSI_TOKENIZER) if config.get("psi_config") else None
    return tokenizer_of(config, checkpoint.read("tokenizer.json"), psi)


def _passes(lengths: Sequence[int], extra: int, cells: int, rows: int = 1) -> Iterator[list[int]]:
    """Positions grouped by length, so that a pass pads little and its attention has ``cells`` at most, or one row.

    Each has ``rows`` rows of its length and ``extra`` positions in the pass.
    """
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * rows * (lengths[index] + extra) ** 2 > cells:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
