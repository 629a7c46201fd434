"""What a test found: accuracies with intervals, warnings, and the profile that is kept."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.capability.store import ProfileStore
from modelsat.lab.aptitude.adaptive import CoreModel, Posterior
from modelsat.lab.aptitude.questions import Question
from modelsat.lab.aptitude.store import Answer

Z = 1.96
ONE_LETTER = 0.9
"""Share of equal letters from which a model is said to answer always the same."""
UNREAD = 0.05
"""Share of replies without an answer from which a warning is given."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What was found on one task.

    Attributes:
        task: Its name.
        description: Its keywords.
        asked: Questions with an answer or a reply that holds none.
        right: Sum of their scores.
        unread: Replies that hold no answer; they count as wrong.
        items: Questions the task has.
        accuracy: Accuracy on all questions of the task, 0..1: what was measured on those asked, and in the adaptive
            mode what the answers to all tasks say of the others.
        low: Lower end of the 95 % interval.
        high: Its upper end.
    """

    task: str
    description: str
    asked: int
    right: float
    unread: int
    items: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class AptitudeResult:
    """The result of an aptitude test.

    Attributes:
        profile: The capability profile; ``None`` if too little was answered to make one.
        tasks: What was found on each task.
        mode: ``"adaptive"`` or ``"full"``.
        questions: Questions the test has.
        problems: Replies that hold no answer, by reason.
        failed: Questions that got no reply, by reason.
        retries: Tries beyond the first, by reason.
        fresh: Answers of this run; the others were there.
        calls: Answers in all, rotations included.
        prompt_tokens: Tokens of all prompts.
        completion_tokens: Tokens of all replies.
        cost_usd: Cost of all answers with a known price.
        error: Standard error of a task's accuracy (root mean square), adaptive mode.
        stopped: Why the run ended early; empty if it did not.
        warnings: What should be known about the figures.
    """

    profile: CapabilityProfile | None
    tasks: tuple[TaskResult, ...]
    mode: str
    questions: int
    problems: Mapping[str, int]
    failed: Mapping[str, int]
    retries: Mapping[str, int]
    fresh: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    error: float | None
    stopped: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def asked(self) -> int:
        """Questions with an answer or a reply that holds none."""
        return sum(task.asked for task in self.tasks)

    @property
    def unread(self) -> int:
        """Replies that hold no answer."""
        return sum(task.unread for task in self.tasks)

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the tasks."""
        return sum(task.accuracy for task in self.tasks) / len(self.tasks) if self.tasks else math.nan


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of ``count`` items, 0..1."""
    centre = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
    reach = Z / (1 + Z * Z / count) * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def find_warnings(letters: Sequence[str | None], problems: Mapping[str, int], dropped: Sequence[str]) -> list[str]:
    """Return what should be known about the figures; ``letters`` are those read, ``None`` where there was no answer."""
    found = []
    unread = sum(problems.values())
    if letters and unread > UNREAD * len(letters):
        listed = ", ".join(f"{count} {problem}" for problem, count in Counter(problems).most_common())
        found.append(
            f"{unread} of {len(letters)} replies hold no answer ({listed}) and count as wrong: the figures say how "
            "well the model answers in this form, not what it knows"
        )
    known = Counter(letter for letter in letters if letter)
    for letter, count in known.most_common(1):
        if known.total() >= 50 and count >= ONE_LETTER * known.total():
            found.append(
                f"{count} of {known.total()} answers are {letter}: the model does not seem to read the questions"
            )
    if dropped:
        found.append(f"the server refuses {' and '.join(dropped)}, which was left out")
    return found


def measured(
    questions: Sequence[Question],
    answers: Mapping[tuple[str, int], Answer],
    descriptions: Mapping[str, str],
    scores: Mapping[str, float],
) -> list[TaskResult]:
    """Tasks by the share of right answers; tasks without an answer are left out.

    ``scores`` (0..1) are those of the questions that were answered; the circle test may have lowered them.
    """
    results = []
    for task, description in descriptions.items():
        items = [question.id for question in questions if question.task == task]
        asked = [identifier for identifier in items if identifier in scores]
        if not asked:
            continue
        right = float(sum(scores[identifier] for identifier in asked))
        unread = sum(answers[identifier, 0].problem is not None for identifier in asked)
        share = right / len(asked)
        low, high = wilson(share, len(asked))
        results.append(TaskResult(task, description, len(asked), right, unread, len(items), share, low, high))
    return results


def expected(
    model: CoreModel, posterior: Posterior, scores: Mapping[int, float], unread: Collection[int]
) -> list[TaskResult]:
    """Tasks by the accuracy on all of their items, asked or not; tasks of which no item was asked are left out.

    ``scores`` (0..1) are those of the items asked, by id; ``unread`` are ids of items whose reply held no answer.
    """
    filled, asked = posterior.expected.copy(), np.zeros(len(model.ids), dtype=bool)
    for number, score in scores.items():
        filled[model.row(number)], asked[model.row(number)] = score, True
    size = np.bincount(model.task)
    accuracy = np.bincount(model.task, filled) / size
    counts = np.bincount(model.task[asked], minlength=len(size))
    right = np.bincount(model.task[asked], filled[asked], minlength=len(size))
    missed = np.bincount(model.task[[model.row(number) for number in unread]], minlength=len(size))
    reach = Z * np.sqrt(posterior.variance)
    return [
        TaskResult(
            task=task.name,
            description=", ".join(task.keywords),
            asked=int(counts[place]),
            right=float(right[place]),
            unread=int(missed[place]),
            items=int(size[place]),
            accuracy=float(accuracy[place]),
            low=float(max(0.0, accuracy[place] - reach[place])),
            high=float(min(1.0, accuracy[place] + reach[place])),
        )
        for place, task in enumerate(model.tasks)
        if counts[place]
    ]


def keep(
    profile: CapabilityProfile, *, merge: bool = False, store: ProfileStore | None = None
) -> tuple[CapabilityProfile, Path]:
    """Save a profile in the user's store.

    Args:
        profile: What to save.
        merge: Keep the statements that an earlier profile of the model has on other tasks, from the store or the
            shipped registry: your own suite stands beside the core tasks.
        store: The store; the user's if omitted.

    Returns:
        The profile as saved, and its file.

    Raises:
        StoreError: It cannot be written.
    """
    target = store or ProfileStore.default()
    if merge:
        profile = _merged(profile, target)
    return profile, target.save(profile)


def _merged(profile: CapabilityProfile, store: ProfileStore) -> CapabilityProfile:
    earlier = next((known for known in store.load() if known.model == profile.model), None)
    if earlier is None and profile.model in (registry := Registry.default()):
        earlier = registry.find(profile.model)
    if earlier is None:
        return profile
    new = {statement.task for statement in profile.statements}
    kept = tuple(statement for statement in earlier.statements if statement.task not in new)
    return profile.model_copy(
        update={"statements": (*profile.statements, *kept), "aliases": earlier.aliases, "notes": earlier.notes}
    )
