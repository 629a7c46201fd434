"""Two profiles beside each other, by task and by field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from modelsat.capability.equating import DEFAULT_ITEMS, equate
from modelsat.capability.profile import CapabilityProfile, CapabilityStatement

_FIELDS = {
    "biology": ("ori_mmlu-college_biology", "ori_mmlu-high_school_biology", "stemez-Biology", "stemez-Genetics"),
    "business": ("ori_mmlu-marketing", "stemez-Business", "theoremQA-Finance"),
    "chemistry": ("ori_mmlu-high_school_chemistry", "scibench-atkins", "stemez-Chemistry", "stemez-PhysicalChemistry"),
    "computer science": ("ori_mmlu-college_computer_science", "ori_mmlu-machine_learning", "theoremQA-EECS"),
    "economics": (
        "ori_mmlu-econometrics",
        "ori_mmlu-high_school_macroeconomics",
        "ori_mmlu-high_school_microeconomics",
        "stemez-Economics",
    ),
    "engineering": (
        "stemez-ElectricalMachines",
        "stemez-ElectronicCommunications",
        "stemez-Thermodynamics",
        "stemez-TransportPhenomena",
    ),
    "health": (
        "ori_mmlu-anatomy",
        "ori_mmlu-human_aging",
        "ori_mmlu-nutrition",
        "ori_mmlu-professional_medicine",
    ),
    "history": ("ori_mmlu-high_school_european_history", "ori_mmlu-high_school_us_history", "ori_mmlu-prehistory"),
    "law": ("ori_mmlu-international_law", "ori_mmlu-jurisprudence", "ori_mmlu-professional_law"),
    "math": (
        "ori_mmlu-elementary_mathematics",
        "ori_mmlu-high_school_mathematics",
        "ori_mmlu-high_school_statistics",
        "theoremQA-Math",
    ),
    "other": (
        "ori_mmlu-global_facts",
        "ori_mmlu-miscellaneous",
        "ori_mmlu-professional_accounting",
        "ori_mmlu-security_studies",
    ),
    "philosophy": ("ori_mmlu-formal_logic", "ori_mmlu-moral_disputes", "ori_mmlu-philosophy"),
    "physics": ("ori_mmlu-high_school_physics", "stemez-Optics", "stemez-Physics", "theoremQA-Physics"),
    "psychology": ("ori_mmlu-high_school_psychology", "ori_mmlu-professional_psychology", "stemez-Psychology"),
}


@lru_cache(maxsize=1)
def _by_task() -> dict[str, str]:
    return {task: field for field, tasks in _FIELDS.items() for task in tasks}


def field_of(task: str) -> str:
    """Return the field of a core task; any other task is a field of its own."""
    return _by_task().get(task, task)


def plain_name(task: str) -> str:
    """Return a core task's name without where its questions were taken from: ``"college biology"``."""
    for prefix in ("ori_mmlu-", "stemez-", "scibench-", "theoremQA-"):
        if task in _by_task() and task.startswith(prefix):
            return task.removeprefix(prefix).replace("_", " ")
    return task


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
