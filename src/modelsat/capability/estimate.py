"""Models that nobody has measured yet: what their relatives say of them, with the doubt that such a guess has.

A name says a line (``gpt-...-luna``), a version and a family. The version before in the same line, moved by the usual
step of a generation, and the version after, moved back, give each figure; without either, the model that it is a
special form of, or the family's models of the same generation, or a price. How far such guesses are off was measured by
leaving every model out once (``benchmarks/estimates.py``; the table is in ``docs/equating.md``): that is the doubt of
every figure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from modelsat.capability.equating import Equated, equate, position
from modelsat.capability.naming import base_of, canonical, release, undated
from modelsat.capability.profile import CapabilityProfile, CapabilityStatement
from modelsat.capability.registry import Registry
from modelsat.capability.tasks import Task, reference

STEP = 0.13
"""What a generation adds to a line (ability units; the median of 2026)."""
OWN = 0.75
"""How much of a figure a successor keeps; the rest is what its abilities say."""
FARTHEST = 6
"""Generations beyond which a version says nothing of another."""
DOUBTS = {"both": 0.42, "one": 0.42, "generation": 0.15, "variant": 0.42, "family": 0.70, "price": 0.90}
"""Standard deviations of an estimate (logits): between two versions; from one, and for every further generation; from
the model that it is a special form of; from another line of the family; from a price."""
NEARNESS = 0.6
"""Standard deviation (logits) by which a version counts the less for every generation, beside a nearer one."""
LEAST_DOUBT = 0.02
FEWEST = 2
"""Figures that a relative needs."""
ANCHORS = ("GPQA", "MMLU-Pro", "Humanity's Last Exam", "LiveCodeBench", "SWE-bench Verified", "IFEval")
"""Benchmarks that carry an estimate which has no figure to start from."""
PRICE_LEVEL = (1.40, 0.18)
"""Level at a price of one US dollar for a million tokens of output, and what a price e times as high adds."""

_SMALL = frozenset(["nano", "mini", "lite", "micro", "tiny", "small", "haiku", "luna", "air"])
_IGNORED = frozenset(
    ["instruct", "preview", "latest", "exp", "beta", "reasoning", "thinking", "experimental", "hf", "chat", "non"]
)
_MARKS = frozenset(("instruct", "chat", "non"))
_VERSION = re.compile(r"([vmkrox]?)(\d{1,3})")
_DAY = re.compile(r"-(?:0[1-9]|1[0-2])-(?:[0-2]\d|3[01])$")
_SIZE = re.compile(
    r"[ae]?\d+(?:x\d+)?[bm]|flash|large|lite|luna|max|medium|micro|mini|nano|plus|premier|pro|small|tiny|turbo|ultra|xl|air"
)
"""Words that say another size of model, so that one is no special form of the other."""


@dataclass(frozen=True)
class Lineage:
    """What a name says of a model's relatives.

    Attributes:
        line: Family, size and variant: what versions of one line share.
        version: Major and minor number; (0, 0) if the name has none.
        date: The snapshot's digits; 0 if the name has none.
        marks: What sets siblings of one name apart: instruct, chat, non(-thinking).
    """

    line: tuple[str, ...]
    version: tuple[int, int]
    date: int
    marks: frozenset[str]

    @property
    def family(self) -> str:
        """The first word."""
        return self.line[0] if self.line else ""

    @property
    def at(self) -> tuple[tuple[int, int], int]:
        """Its place in the line."""
        return self.version, self.date

    @property
    def small(self) -> bool:
        """Whether it is one of its family's small sizes."""
        return bool(_SMALL & set(self.line))


@dataclass(frozen=True)
class Relative:
    """A known model that an estimate starts from, and how many generations it is away (before: negative)."""

    profile: CapabilityProfile
    away: int
    placed: Equated


def estimate(name: str, registry: Registry, *, price: float | None = None) -> CapabilityProfile | None:
    """A profile for a model without figures, made of its relatives'; ``None`` if nothing is known that could tell.

    Args:
        name: The model's name, without effort.
        registry: Where relatives are looked for.
        price: US dollars for a million tokens of output, where known.
    """
    base = base_of(name)
    if base is not None:
        return _made(name, [_relative(registry.find(base))], "variant") if base in registry else None
    lineage = lineage_of(name)
    family = _Family.of(lineage.family, registry)
    for basis, find in (("one", family.line), ("variant", family.variant), ("family", family.generation)):
        if relatives := find(lineage):
            return _made(name, relatives, "both" if basis == "one" and len(relatives) > 1 else basis)
    if relatives := family.line(lineage, weak=True):
        return _made(name, relatives, "family")
    return None if not price or price <= 0 else _priced(name, price)


def lineage_of(name: str) -> Lineage:
    """Read a name."""
    return _lineage(canonical(name))


@lru_cache(maxsize=4096)
def _lineage(spelling: str) -> Lineage:
    words: list[str] = []
    version: list[int] = []
    (year, month, day), closed = release(spelling), False
    date = 10_000 * year + 100 * month + day
    tokens = _DAY.sub("", undated(spelling)).split("-")
    for token in tokens:
        if token.isdecimal() and len(token) >= 4:
            date = date or int(token)
        elif (match := _VERSION.fullmatch(token)) and not closed and len(version) < 2:
            if match[1] and not version:
                words.append(match[1])
            number = int(match[2])
            version.append(number // 10 if version and number >= 10 and number % 10 == 0 else number)
        else:
            closed = bool(version)
            if token not in _IGNORED:
                words.append(token)
    major, minor = (*version, 0, 0)[:2]
    return Lineage(tuple(words), (major, minor), date, frozenset(_MARKS & set(tokens)))


@dataclass(frozen=True)
class _Family:
    """The models of a family that a registry knows: each under every name, with what that name says."""

    members: Sequence[tuple[Lineage, CapabilityProfile]]
    thinking: frozenset[str]
    versions: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, family: str, registry: Registry) -> _Family:
        members, thinking = [], set()
        for model, *spellings in registry.spellings():
            lineages = dict.fromkeys(map(_lineage, spellings))
            own = next((lineage for lineage in lineages if lineage.version != (0, 0)), None)
            if any(lineage.family == family for lineage in lineages):
                profile = registry.find(model)
                # a name without a version is the model's own only if it has no other
                kept = [lineage for lineage in lineages if own is None or lineage.version != (0, 0)]
                members += [(lineage, profile) for lineage in kept if lineage.family == family]
                if registry.figures(model).effort != "none":
                    thinking.add(model)
        return cls(members, frozenset(thinking), frozenset(lineage.version for lineage, _ in members))

    def line(self, wanted: Lineage, *, weak: bool = False) -> list[Relative]:
        """The version before and the version after, or a snapshot of the same version; the newest of a bare name.

        ``weak``: models of a single figure, and models that only answer, count too.
        """
        known = [entry for entry in self.members if entry[0].line == wanted.line and (weak or self._tells(entry[1]))]
        alike = [entry for entry in known if entry[0].marks == wanted.marks] or known
        alike.sort(key=lambda entry: entry[0].at)
        if wanted.at == ((0, 0), 0):
            return [_relative(profile) for _, profile in alike[-1:]]
        same = [entry for entry in alike if entry[0].version == wanted.version != (0, 0)]
        before = [entry for entry in alike if entry[0].at < wanted.at][-1:]
        after = [entry for entry in alike if entry[0].at > wanted.at][:1]
        found = [(profile, self._away(lineage, wanted)) for lineage, profile in same[-1:] or [*before, *after]]
        return [_relative(profile, away) for profile, away in found if abs(away) <= FARTHEST]

    def variant(self, wanted: Lineage) -> list[Relative]:
        """The model of the same version that the name is a special form of: ``gpt-5.6-cyber`` of ``gpt-5.6``."""
        words = set(wanted.line)
        found = [
            (lineage, profile)
            for lineage, profile in self.members
            if lineage.version == wanted.version
            and (wanted.version != (0, 0) or len(lineage.line) > 1)
            and set(lineage.line) < words
            and not any(_SIZE.fullmatch(word) for word in words - set(lineage.line))
            and len(profile.statements) >= FEWEST
        ]
        most = max((len(lineage.line) for lineage, _ in found), default=0)
        return [_relative(profile) for lineage, profile in found if len(lineage.line) == most][-1:]

    def generation(self, wanted: Lineage) -> list[Relative]:
        """Models of the same generation in other lines: those of the same size class if there are any."""
        if wanted.version == (0, 0):
            return []
        near = {
            profile.model: (lineage, profile, away)
            for lineage, profile in self.members
            if lineage.version != (0, 0) and self._tells(profile) and abs(away := self._away(lineage, wanted)) <= 1
        }
        alike = [entry for entry in near.values() if entry[0].small == wanted.small] or list(near.values())
        return [_relative(profile, away) for _, profile, away in alike]

    def _tells(self, profile: CapabilityProfile) -> bool:
        """Whether it has figures enough, and thinks if any of the family does."""
        return len(profile.statements) >= FEWEST and (not self.thinking or profile.model in self.thinking)

    def _away(self, relative: Lineage, wanted: Lineage) -> int:
        """Versions of the family from a relative to the model wanted; negative for a relative that came before."""
        if relative.version == wanted.version:
            return 0
        low, high = sorted((relative.version, wanted.version))
        steps = sum(low < version <= high for version in self.versions | {wanted.version})
        return -steps if relative.version < wanted.version else steps


def _relative(profile: CapabilityProfile, away: int = 0) -> Relative:
    return Relative(profile, away, equate(profile, report=False))


def _made(name: str, relatives: Sequence[Relative], basis: str) -> CapabilityProfile:
    factors = np.mean([r.placed.factors - STEP * r.away for r in relatives], axis=0)
    away = min(abs(r.away) for r in relatives)
    spread = math.hypot(DOUBTS[basis], DOUBTS["generation"] * max(0, away - 1))
    source = "estimated from " + ", ".join(r.profile.model for r in relatives)
    told = _told(relatives)
    tasks = dict.fromkeys([*told, *ANCHORS])
    statements = []
    for task in tasks:
        known = reference(task)
        expected = known.discrimination * float(factors[position(known)]) - known.difficulty
        logit = OWN * told[task] + (1.0 - OWN) * expected if task in told else expected
        statements.append(_statement(known, logit, spread, source))
    return _profile(name, statements, source, [r.profile.model for r in relatives])


def _told(relatives: Sequence[Relative]) -> dict[str, float]:
    """Logits of the figures that the relatives have, each moved to the generation wanted; their mean."""
    found: dict[str, list[tuple[float, float]]] = {}
    for relative in relatives:
        for statement in relative.profile.statements:
            task = reference(statement.task)
            if task.known:
                share = (statement.accuracy - task.chance) / (1.0 - task.chance)
                inner = min(max(share, 0.01), 0.99)
                step = 0.5 * (1.0 + task.discrimination) * STEP * relative.away
                doubt = statement.doubt / (inner * (1.0 - inner))
                spread = DOUBTS["one"] ** 2 + (NEARNESS * relative.away) ** 2 + doubt**2
                found.setdefault(task.name, []).append((math.log(inner / (1.0 - inner)) - step, 1.0 / spread))
    return {task: sum(x * w for x, w in rows) / sum(w for _, w in rows) for task, rows in found.items()}


def _priced(name: str, price: float) -> CapabilityProfile:
    level = PRICE_LEVEL[0] + PRICE_LEVEL[1] * math.log(price)
    source = f"estimated from its price alone, {price:g} USD for a million tokens of output"
    tasks = [reference(task) for task in ANCHORS]
    statements = [_statement(t, t.discrimination * level - t.difficulty, DOUBTS["price"], source) for t in tasks]
    return _profile(name, statements, source, [])


def _statement(task: Task, logit: float, spread: float, source: str) -> CapabilityStatement:
    share = 1.0 / (1.0 + math.exp(-logit))
    accuracy = task.chance + (1.0 - task.chance) * share
    doubt = max((1.0 - task.chance) * share * (1.0 - share) * spread, LEAST_DOUBT)
    return CapabilityStatement(task=task.name, accuracy=round(accuracy, 4), doubt=round(doubt, 4), source=source)


def _profile(
    name: str, statements: Iterable[CapabilityStatement], source: str, relatives: Sequence[str]
) -> CapabilityProfile:
    return CapabilityProfile(
        model=name, statements=tuple(statements), provenance=source, estimated_from=tuple(relatives) or ("its price",)
    )
