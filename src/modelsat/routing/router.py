"""The router: one front door from messages to a decision."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from modelsat.errors import ConfigurationError, InvalidRequestError, ModelSATError, RoutingError, UnknownModelError
from modelsat.routing.candidates import Candidate, Candidates, resolve_candidates
from modelsat.routing.conversation import Extractor, extract_instruction, last_user_turn_with_tail
from modelsat.routing.decision import RoutingDecision
from modelsat.routing.engine import Engine
from modelsat.routing.failures import FallbackCounter, attempt
from modelsat.routing.policy import Policy, Scored, resolve_policy

if TYPE_CHECKING:
    from modelsat.capability.registry import Registry
    from modelsat.scoring.base import Scorer


class _Selection(NamedTuple):
    """The candidates of one call: their names and positions, and why the others are out."""

    names: tuple[str, ...]
    indices: tuple[int, ...]
    struck: Mapping[str, str]


class Router:
    """Decides before any model runs which candidate will answer a request well.

    Thread-safe and safe to share between event loops. Weights load at first use, once; :meth:`warmup` does it ahead of
    time.

    Args:
        candidates: Model names of the registry, capability profiles or :class:`Candidate` objects; or a mapping
            ``{name of the choice: model name or profile}``.
        weights: Name or folder of a checkpoint.
        policy: ``"best"`` or a :class:`Policy`.
        fallback: Model to name in the decision when routing fails; any model name. Without one, failures raise.
        strict: Raise on failures even if there is a fallback.
        registry: Where model names are looked up; the shipped registry if not given.
        scorer: A scorer to use in place of the one loaded from ``weights``.
        extractor: Chooses the part of a conversation that is scored.
        cache_dir: Folder of the capability-embedding cache; the user's cache folder if not given.

    Raises:
        ConfigurationError: No candidates, a name twice, an unknown policy, or a blank fallback.
        UnknownModelError: A model name is not in the registry.
    """

    def __init__(
        self,
        candidates: Candidates,
        *,
        weights: str | os.PathLike[str] = "modelsat-nano",
        policy: str | Policy = "best",
        fallback: str | None = None,
        strict: bool = False,
        registry: Registry | None = None,
        scorer: Scorer | None = None,
        extractor: Extractor = last_user_turn_with_tail,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        if fallback is not None and (not isinstance(fallback, str) or not fallback.strip()):
            raise ConfigurationError(f"fallback must be the name of a model, not {fallback!r}")
        if not callable(extractor):
            raise ConfigurationError("extractor must be a function from turns to text")
        self._candidates = resolve_candidates(candidates, registry)
        self._names = tuple(candidate.name for candidate in self._candidates)
        self._everyone = _Selection(self._names, tuple(range(len(self._names))), {})
        self._positions = {name: position for position, name in enumerate(self._names)}
        self._profiles_version = _profiles_version(self._candidates)
        self._policy = resolve_policy(policy)
        self._fallback = fallback
        self._strict = strict
        self._extractor = extractor
        self._engine = Engine(self._candidates, weights, scorer, cache_dir)
        self._fallbacks = FallbackCounter()

    def __repr__(self) -> str:
        return f"Router({len(self._names)} candidates, policy={self._policy.name!r}, weights={self._engine.version!r})"

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates, in the order given."""
        return self._candidates

    @property
    def names(self) -> tuple[str, ...]:
        """The candidates' names, in the order given."""
        return self._names

    @property
    def fallback(self) -> str | None:
        """The model named when routing fails; ``None`` if failures raise."""
        return None if self._strict else self._fallback

    @property
    def policy(self) -> Policy:
        """The policy that chooses."""
        return self._policy

    @property
    def fallbacks(self) -> Counter[str]:
        """How often the fallback was taken, by class of error; a copy."""
        return self._fallbacks.counts

    @property
    def versions(self) -> dict[str, str]:
        """What decides: ``weights`` (the plain name until they are loaded) and ``profiles`` (names and figures)."""
        return {"weights": self._engine.version, "profiles": self._profiles_version}

    def route(self, messages: Any, *, candidates: Sequence[str] | None = None) -> RoutingDecision:
        """Decide which candidate answers ``messages``.

        Args:
            messages: A string, an OpenAI-style message or a list of them, LangChain messages or a prompt value.
            candidates: Names to choose from this time; the others are listed as struck. All if not given.

        Raises:
            InvalidRequestError: There is nothing to score (without a fallback, as all that follow).
            UnknownModelError: ``candidates`` holds a name the router does not know.
            CheckpointError: The weights cannot be used.
            ScoringError: The network returned something that is not a probability.
            RoutingError: No candidate is left, or anything else failed.
        """
        return self.route_batch([messages], candidates=candidates)[0]

    async def aroute(self, messages: Any, *, candidates: Sequence[str] | None = None) -> RoutingDecision:
        """:meth:`route` in a worker thread: the event loop is never blocked by the network."""
        return await asyncio.to_thread(self.route, messages, candidates=candidates)

    def route_batch(self, batch: Sequence[Any], *, candidates: Sequence[str] | None = None) -> list[RoutingDecision]:
        """Decide for many requests with one call of the scorer.

        A request that cannot be scored takes the fallback by itself; the others are scored as ever. Without a fallback
        it raises. ``elapsed_ms`` of each decision is the time of the whole batch.

        Args:
            batch: Requests, each as :meth:`route` takes them.
            candidates: Names to choose from this time, for the whole batch. All if not given.

        Raises:
            InvalidRequestError: As :meth:`route`, with its other errors.
        """
        started = time.perf_counter()
        if isinstance(batch, (str, bytes, Mapping)) or not isinstance(batch, Sequence):
            raise InvalidRequestError(f"a batch is a list of requests, not a single {type(batch).__name__}")
        fields = [
            self._fallback_fields(outcome) if isinstance(outcome, ModelSATError) else outcome
            for outcome in self._outcomes(batch, candidates)
        ]
        elapsed_ms = (time.perf_counter() - started) * 1000.0
        versions = self.versions
        return [
            RoutingDecision(policy=self._policy.name, versions=versions, elapsed_ms=elapsed_ms, **entry)
            for entry in fields
        ]

    async def aroute_batch(
        self, batch: Sequence[Any], *, candidates: Sequence[str] | None = None
    ) -> list[RoutingDecision]:
        """:meth:`route_batch` in a worker thread: the event loop is never blocked by the network."""
        return await asyncio.to_thread(self.route_batch, batch, candidates=candidates)

    def warmup(self) -> None:
        """Load the weights, encode the candidates' profiles and run the network once: the first request is quick then.

        Failures raise here, even if there is a fallback.

        Raises:
            CheckpointError: The weights cannot be used.
            ScoringError: The network returned something that is not a probability.
        """
        self._engine.score(["Hello"], self._everyone.indices)

    def _outcomes(self, batch: Sequence[Any], candidates: Sequence[str] | None) -> list[dict[str, Any] | ModelSATError]:
        """For each request the fields of its decision, or what went wrong; one call of the scorer for all."""
        prepared = [attempt(partial(extract_instruction, messages, self._extractor)) for messages in batch]
        texts = [entry[0] for entry in prepared if not isinstance(entry, ModelSATError)]
        scored = attempt(partial(self._score, texts, candidates))
        if isinstance(scored, ModelSATError):
            return [entry if isinstance(entry, ModelSATError) else scored for entry in prepared]
        selection, rows = scored
        remaining = iter(rows)
        return [
            entry
            if isinstance(entry, ModelSATError)
            else attempt(partial(self._choose, next(remaining), selection, entry[1]))
            for entry in prepared
        ]

    def _score(self, texts: Sequence[str], candidates: Sequence[str] | None) -> tuple[_Selection, list[list[float]]]:
        selection = self._everyone if candidates is None else self._select(candidates)
        return selection, self._engine.score(texts, selection.indices).tolist() if texts else []

    def _select(self, asked: Sequence[str]) -> _Selection:
        wanted = {asked} if isinstance(asked, str) else set(asked)
        unknown = sorted(str(name) for name in wanted if name not in self._positions)
        if unknown:
            raise UnknownModelError(
                f"not among this router's candidates: {', '.join(unknown)}; it has: {', '.join(self._names)}"
            )
        if not wanted:
            raise RoutingError("no candidate is left to choose from: 'candidates' is empty, leave it out to allow all")
        names = tuple(name for name in self._names if name in wanted)
        return _Selection(
            names=names,
            indices=tuple(self._positions[name] for name in names),
            struck={name: "not asked for" for name in self._names if name not in wanted},
        )

    def _choose(self, row: Sequence[float], selection: _Selection, notes: tuple[str, ...]) -> dict[str, Any]:
        ranked = sorted(zip(selection.names, row, strict=True), key=lambda pair: (-pair[1], pair[0]))
        choice = self._policy.choose([Scored(name, score) for name, score in ranked])
        if choice.name not in selection.names:
            raise RoutingError(
                f"policy {self._policy.name!r} chose {choice.name!r}, which is not among the scored candidates"
            )
        return {
            "model": choice.name,
            "scores": dict(ranked),
            "struck": {**selection.struck, **choice.struck},
            "reason": choice.reason,
            "notes": notes,
        }

    def _fallback_fields(self, error: ModelSATError) -> dict[str, Any]:
        """The fields of the fallback's decision; raises ``error`` where there is no fallback."""
        model = self.fallback
        if model is None:
            raise error
        self._fallbacks.record(model, error)
        name = type(error).__name__
        return {"model": model, "reason": f"fallback after {name}", "fallback": True, "error": f"{name}: {error}"}


def _profiles_version(candidates: Sequence[Candidate]) -> str:
    rows = sorted((candidate.name, candidate.profile.digest) for candidate in candidates)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12]
