"""Two profiles side by side: what differs, and what of it is more than chance.

On each task that both profiles state, the difference of the accuracies is set against its standard error,

    sqrt(a (1 - a) (1 / n_A + 1 / n_B)),

with a the accuracy on both together. With fifty tasks two or three would differ by chance at 5 %; so significance is
decided for all together, by the false discovery rate (Benjamini and Hochberg, 1995). The levels are compared by the
abilities that equating reads out of each profile, whatever figures it consists of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from modelsat.capability.equating import DEFAULT_ITEMS, equate
from modelsat.capability.profile import CapabilityProfile, CapabilityStatement
from modelsat.lab.aptitude.fields import field_of

RATE = 0.05
"""Share of the differences marked that may be chance."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of a comparison.

    Attributes:
        name: Task or field.
        first: Accuracy of the first model, 0..1.
        second: Accuracy of the second.
        items: Items behind the two figures.
        p: Probability of a difference as large by chance.
        significant: Whether it is more than chance, all lines considered.
    """

    name: str
    first: float
    second: float
    items: tuple[int, int]
    p: float
    significant: bool = False


@dataclass(frozen=True)
class Comparison:
    """Two profiles side by side.

    Attributes:
        models: Names of the two.
        levels: Ability levels.
        level_p: Probability of a difference of levels as large by chance.
        fields: Differences by field of tasks.
        tasks: Differences by task, the largest first.
        only: Tasks that only the first, and only the second profile states.
    """

    models: tuple[str, str]
    levels: tuple[float, float]
    level_p: float
    fields: tuple[Difference, ...]
    tasks: tuple[Difference, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]


def compare(first: CapabilityProfile, second: CapabilityProfile) -> Comparison:
    """Compare two profiles."""
    left, right = ({statement.task: statement for statement in profile.statements} for profile in (first, second))
    shared = [task for task in left if task in right]
    placed = equate(first), equate(second)
    deviations = [float(one.covariance[1:, 1:].mean()) for one in placed]
    levels = (placed[0].level, placed[1].level)
    tasks = _marked([_difference(task, [left[task]], [right[task]]) for task in shared])
    fields: dict[str, list[str]] = {}
    for task in shared:
        fields.setdefault(field_of(task), []).append(task)
    by_field = [
        _difference(name, [left[t] for t in names], [right[t] for t in names]) for name, names in fields.items()
    ]
    return Comparison(
        models=(first.model, second.model),
        levels=levels,
        level_p=_two_sided((levels[0] - levels[1]) / math.sqrt(max(sum(deviations), 1e-9))),
        fields=tuple(sorted(_marked(by_field), key=lambda line: line.second - line.first)),
        tasks=tuple(sorted(tasks, key=lambda line: -abs(line.first - line.second))),
        only=(tuple(t for t in left if t not in right), tuple(t for t in right if t not in left)),
    )


def _difference(name: str, left: list[CapabilityStatement], right: list[CapabilityStatement]) -> Difference:
    """Unweighted means over the tasks on both sides: what is asked more often counts no more."""
    first, second = (sum(s.accuracy for s in side) / len(side) for side in (left, right))
    variance = 0.0
    for one, other in zip(left, right, strict=True):
        n, m = one.items or DEFAULT_ITEMS, other.items or DEFAULT_ITEMS
        share = (one.accuracy * n + other.accuracy * m + 1) / (n + m + 2)  # not certain after a few right answers
        variance += share * (1.0 - share) * (1.0 / n + 1.0 / m)
    items = tuple(sum(s.items or DEFAULT_ITEMS for s in side) for side in (left, right))
    z = (first - second) * len(left) / math.sqrt(variance)
    return Difference(name, first, second, (items[0], items[1]), _two_sided(z))


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2.0))


def _marked(lines: list[Difference]) -> list[Difference]:
    """Mark what is significant at the false discovery rate."""
    ordered = sorted(lines, key=lambda line: line.p)
    last = max((rank for rank, line in enumerate(ordered, 1) if line.p <= RATE * rank / len(ordered)), default=0)
    marked = {line.name for line in ordered[:last]}
    return [Difference(line.name, line.first, line.second, line.items, line.p, line.name in marked) for line in lines]
