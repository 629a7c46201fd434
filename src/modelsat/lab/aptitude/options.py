"""How an aptitude test is run."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from modelsat.capability.core import CoreTask, core_tasks
from modelsat.errors import ConfigurationError
from modelsat.lab.aptitude.plan import Prices
from modelsat.lab.aptitude.runner import Limits

TARGET_ERROR = 0.033
"""Standard error of a task's accuracy at which the adaptive mode stops."""
MOST_SHARE = 1 / 3
"""Share of the questions that the adaptive mode asks at most."""


@dataclass(frozen=True)
class AptitudeSettings:
    """How a test is run. The defaults are those of the command.

    Attributes:
        questions: Parquet file of the questions; the data set on the Hub if ``None``.
        tasks: Core tasks to ask; all if empty.
        core: Whether core tasks are asked at all.
        suite: YAML file with your own tasks.
        adaptive: Choose core questions by how informative they are, until ``target_error`` is met.
        target_error: Standard error of a task's accuracy (root mean square) to reach.
        most: Core questions the adaptive mode asks at most; a third of them if ``None``.
        seed: Breaks ties among equally informative questions.
        circle: How often hard items are asked, with rotated options; 1 for no circle test.
        limits: Concurrency, retries, budget.
        prices: Prices of the model, where the price tables do not have it.
        answers: SQLite file of the answers; one in the user's data folder if ``None``.
        wait: Wait for another process that tests the model.
        fresh: Forget the answers of earlier runs with the same settings.
        tested_by: Who tests; recorded in the profile.
    """

    questions: str | os.PathLike[str] | None = None
    tasks: Sequence[str] = ()
    core: bool = True
    suite: str | os.PathLike[str] | None = None
    adaptive: bool = True
    target_error: float = TARGET_ERROR
    most: int | None = None
    seed: int = 0
    circle: int = 1
    limits: Limits = field(default_factory=Limits)
    prices: Prices | None = None
    answers: str | os.PathLike[str] | None = None
    wait: bool = False
    fresh: bool = False
    tested_by: str = ""


def chosen_tasks(settings: AptitudeSettings) -> tuple[CoreTask, ...]:
    """Return the core tasks that are asked.

    Raises:
        ConfigurationError: A task is unknown, or tasks are named though none is asked.
    """
    if not settings.core:
        if settings.tasks:
            raise ConfigurationError("core tasks are named, but none is to be asked: leave --suite-only out")
        return ()
    known = {task.name: task for task in core_tasks()}
    unknown = [name for name in settings.tasks if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.3)
        raise ConfigurationError(
            f"there is no core task {unknown[0]!r}; close: {', '.join(near) or ', '.join(list(known)[:3])}"
        )
    return tuple(task for name, task in known.items() if not settings.tasks or name in settings.tasks)


def check_settings(settings: AptitudeSettings) -> None:
    """Refuse settings that cannot be meant.

    Raises:
        ConfigurationError: The message says which, and what to give.
    """
    if not settings.core and settings.suite is None:
        raise ConfigurationError("there is nothing to ask: give --suite, or leave the core tasks in")
    if not 0.0 < settings.target_error < 0.5:
        raise ConfigurationError("the target error is a standard error of accuracies: give a number like 0.03")
    if not 1 <= settings.circle <= 10:
        raise ConfigurationError("the circle test asks 2 to 10 rotations, 1 for none")
    if settings.limits.concurrency < 1 or settings.limits.attempts < 1 or (settings.most or 1) < 1:
        raise ConfigurationError("concurrency, attempts and the number of questions must be at least 1")
    if settings.limits.budget_usd is not None and not settings.limits.budget_usd > 0:
        raise ConfigurationError("the budget must be more than 0 USD")
