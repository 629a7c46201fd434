"""How an aptitude test is run, what it is going to ask, and what that costs."""

from __future__ import annotations

import difflib
import math
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelsat.candidates import known_facts
from modelsat.candidates.facts import ModelFacts
from modelsat.candidates.listing import read_listing
from modelsat.capability.core import CoreTask, core_tasks
from modelsat.errors import ConfigurationError
from modelsat.lab.aptitude.questions import Question
from modelsat.lab.aptitude.store import Answer
from modelsat.request.costs import usage_usd

TARGET_ERROR = 0.033
"""Standard error of a task's accuracy at which the adaptive mode stops."""
MOST_SHARE = 1 / 3
"""Share of the questions that the adaptive mode asks at most."""
ANSWER_TOKENS = 300
"""Tokens of a reply that is worked out aloud, as long as nothing is known about the model."""
REASONING_TOKENS = 1500
"""The same for models that are known to reason first."""
_CHARACTERS_A_TOKEN = 3.5


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard, how long and for how much to ask.

    Attributes:
        concurrency: Calls at a time.
        attempts: Tries of one call.
        longest_wait: Seconds between two tries at most, unless the server asks for more.
        budget_usd: Spend no more than this, earlier runs of the same test included.
        keep_going: Go on if hardly any reply holds an answer.
    """

    concurrency: int = 8
    attempts: int = 6
    longest_wait: float = 60.0
    budget_usd: float | None = None
    keep_going: bool = False


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a model.

    Attributes:
        input: USD for a million prompt tokens.
        output: USD for a million completion tokens.
        origin: Where they come from.
        facts: All that is known of the price, where it depends on the length of the prompt.
    """

    input: float
    output: float
    origin: str
    facts: ModelFacts | None = None

    def __post_init__(self) -> None:
        """Check that they are prices.

        Raises:
            ConfigurationError: A price is negative or not a number.
        """
        if not all(math.isfinite(price) and price >= 0 for price in (self.input, self.output)):
            raise ConfigurationError("prices are in USD for a million tokens and cannot be negative")

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Cost in USD of one request."""
        if self.facts is not None and self.facts.tiers:
            usd = usage_usd(self.facts, prompt=round(prompt_tokens), completion=round(completion_tokens))
            return usd or 0.0
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


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

    def __post_init__(self) -> None:
        """Refuse settings that cannot be meant.

        Raises:
            ConfigurationError: The message says which, and what to give.
        """
        if self.tasks and not self.core:
            raise ConfigurationError("core tasks are named, but none is to be asked: leave --suite-only out")
        if not self.core and self.suite is None:
            raise ConfigurationError("there is nothing to ask: give --suite, or leave the core tasks in")
        known = [task.name for task in core_tasks()]
        for name in self.tasks:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or known[:3]
                raise ConfigurationError(f"there is no core task {name!r}; close: {', '.join(near)}")
        if not 0.0 < self.target_error < 0.5:
            raise ConfigurationError("the target error is a standard error of accuracies: give a number like 0.03")
        if not 1 <= self.circle <= 10:
            raise ConfigurationError("the circle test asks 2 to 10 rotations, 1 for none")
        if self.limits.concurrency < 1 or self.limits.attempts < 1 or (self.most or 1) < 1:
            raise ConfigurationError("concurrency, attempts and the number of questions must be at least 1")
        if self.limits.budget_usd is not None and not self.limits.budget_usd > 0:
            raise ConfigurationError("the budget must be more than 0 USD")

    @property
    def mode(self) -> str:
        """``"adaptive"``, ``"full"``, or ``"suite"`` if no core task is asked."""
        return "suite" if not self.core else "adaptive" if self.adaptive else "full"

    @property
    def core_tasks(self) -> tuple[CoreTask, ...]:
        """The core tasks that are asked."""
        return tuple(task for task in core_tasks() if self.core and (not self.tasks or task.name in self.tasks))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a test is going to do. Tokens and USD are estimates of what is still to come."""

    model: str
    mode: str
    questions: int
    calls: int  # at most; without retries, and with the circle test's rotations of half of the hard items
    known: int  # answers that earlier runs have left
    prompt_tokens: int
    completion_tokens: int
    usd: float | None  # None if no price is known
    prices: Prices | None
    functions: tuple[str, ...] = ()  # Python functions of one's own suite that will run
    judges: tuple[str, ...] = ()  # judge models that will be called on top


def find_prices(name: str) -> Prices | None:
    """Prices of a model: from the table of LiteLLM where that is loaded, else from modelsat's own."""
    litellm = sys.modules.get("litellm")  # importing it for a price alone would take seconds
    table: Mapping[str, Mapping[str, Any]] = getattr(litellm, "model_cost", {})
    entry = table.get(name) or table.get(name.partition("/")[2]) or {}
    for facts in (read_listing(entry, "LiteLLM's price table"), known_facts(name)):
        if facts.input_usd_per_mtok is not None and facts.output_usd_per_mtok is not None:
            origin = facts.origins.get("input_usd_per_mtok", "price table")
            return Prices(facts.input_usd_per_mtok, facts.output_usd_per_mtok, origin, facts)
    return None


def estimate(
    model: str,
    limit: int | None,
    jobs: Collection[tuple[Question, int]],
    most: int | None,
    answers: Mapping[tuple[str, int], Answer],
) -> tuple[int, int, int]:
    """Estimate calls, prompt tokens and completion tokens of the jobs that have no answer yet.

    Args:
        model: Name of the model.
        limit: Limit of a reply's length.
        jobs: Every question that may be asked, with its rotation.
        most: How many of them are asked at most, answered ones included; ``None`` for all.
        answers: Answers so far, by question and rotation.
    """
    asked = {question.id for question, _ in jobs}
    known = [answer for (question, _), answer in answers.items() if question in asked]
    missing = [question for question, rotation in jobs if (question.id, rotation) not in answers]
    if not missing:
        return 0, 0, 0
    calls = len(missing) if most is None else max(0, min(len(missing), most - len(known)))
    prompts = [message["content"] for question in missing for message in question.messages]
    prompt = sum(math.ceil(len(text) / _CHARACTERS_A_TOKEN) + 8 for text in prompts) / len(missing)
    seen = [answer.completion_tokens for answer in known if answer.completion_tokens]
    reply = REASONING_TOKENS if known_facts(model).abilities.get("reasoning") else ANSWER_TOKENS
    reply_tokens = sum(seen) / len(seen) if seen else min(reply, limit or reply)
    return calls, round(calls * prompt), round(calls * reply_tokens)
