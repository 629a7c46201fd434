"""The aptitude test: asks a model the core tasks, and your own tasks, and makes its capability profile."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError
from modelsat.lab.aptitude.adaptive import CoreModel, next_round
from modelsat.lab.aptitude.plan import MOST_SHARE, AptitudeSettings, Plan, estimate, find_prices
from modelsat.lab.aptitude.questions import HARD, PREFIX, WORDING_VERSION, Question, core_questions
from modelsat.lab.aptitude.result import AptitudeResult, TaskResult, expected, find_warnings, measured
from modelsat.lab.aptitude.runner import Asker, Ledger
from modelsat.lab.aptitude.store import AnswerStore, answers_path
from modelsat.lab.aptitude.subjects import LangChainSubject, LiteLLMSubject, Subject
from modelsat.lab.aptitude.suite import read_suite

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MOST_FAILED = 0.05
"""Share of questions without a reply from which no profile is made."""
SOURCE = "aptitude test"

Report = Callable[[Ledger], None]


class AptitudeTest:
    """The aptitude test of one model; a context manager that may be entered to see the plan first.

    Example:
        >>> result = AptitudeTest("openai/gpt-4o-mini").run()  # doctest: +SKIP
        >>> router = Router([result.profile, "gpt-5"])  # doctest: +SKIP

    Args:
        model: A LangChain chat model, a name that LiteLLM can call, or anything that asks like a
            :class:`~modelsat.lab.aptitude.subjects.Subject`.
        settings: How the test is run.
        name: Name of the model in its profile; as it is called if empty.
        **options: Fields of :class:`AptitudeSettings`, in place of ``settings``.
    """

    def __init__(
        self,
        model: str | BaseChatModel | Subject,
        settings: AptitudeSettings | None = None,
        *,
        name: str = "",
        **options: Any,
    ) -> None:
        """Read the questions; nothing is asked yet.

        Raises:
            QuestionsError: The questions or the suite cannot be asked.
            ConfigurationError: The settings contradict each other, or the model cannot be called by its name.
            MissingDependencyError: LiteLLM is needed and not installed.
        """
        if settings is not None and options:
            raise ConfigurationError("give either settings or single options, not both")
        try:
            self.settings = settings or AptitudeSettings(**options)
        except TypeError as error:
            raise ConfigurationError(f"unknown setting of the aptitude test: {error}") from error
        self.subject = as_subject(model, name)
        self.name = name or self.subject.name
        self._tasks = self.settings.core_tasks
        self._core = core_questions(self.settings.questions, self._tasks) if self._tasks else []
        self._suite = read_suite(self.settings.suite) if self.settings.suite is not None else None
        self._own = self._suite.questions if self._suite else ()
        self._prices = self.settings.prices or find_prices(self.subject.name)
        if self.settings.limits.budget_usd is not None and self._prices is None:
            raise ConfigurationError(
                f"no price is known for {self.subject.name}, so a budget cannot be kept: give --input-price and "
                "--output-price in USD for a million tokens (prices=Prices(...) in Python)"
            )
        items = [item for task in self._tasks for item in task.items]
        self._chance = {item.id: item.chance for item in items}
        self._hard = {item.id for item in items if item.difficulty >= HARD and self.settings.circle > 1}
        self._store: AnswerStore | None = None

    @property
    def answers_file(self) -> Path:
        """Where the answers are kept."""
        chosen = self.settings.answers
        return Path(chosen) if chosen is not None else answers_path(self.subject.name, self.subject.endpoint)

    @property
    def tasks_by_question(self) -> dict[str, str]:
        """Task of each question, by the question's id."""
        return {question.id: question.task for question in (*self._core, *self._own)}

    @property
    def most(self) -> int:
        """Core questions that are asked at most."""
        if not self.settings.adaptive:
            return len(self._core)
        return min(len(self._core), self.settings.most or max(len(self._tasks), int(len(self._core) * MOST_SHARE)))

    def __enter__(self) -> AptitudeTest:
        """Take the lock of the model's answers.

        Raises:
            AptitudeError: Another process tests the model, or the answers cannot be kept.
        """
        self._store = AnswerStore(self.answers_file, wait=self.settings.wait).__enter__()
        if self.settings.fresh:
            self._store.forget(self._key)
        return self

    def __exit__(self, *exc: object) -> None:
        """Release it."""
        if self._store is not None:
            self._store.__exit__(*exc)
            self._store = None
        if callable(close := getattr(self.subject, "close", None)):
            close()

    def plan(self) -> Plan:
        """Return what the test is going to do and cost, earlier answers taken off. Within ``with`` only."""
        answers = self._asker(None).ledger.answers
        core = [(question, places) for question in self._core for places in self._turns(question)]
        most = round(self.most * len(core) / len(self._core)) if self.settings.adaptive and core else None
        limit = self.subject.max_tokens
        parts = [
            estimate(self.subject.name, limit, core, most, answers),
            estimate(self.subject.name, limit, [(question, 0) for question in self._own], None, answers),
        ]
        calls, sent, received = (sum(counts) for counts in zip(*parts, strict=True))
        return Plan(
            model=self.name,
            mode=self.settings.mode,
            questions=len(self._core) + len(self._own),
            calls=calls,
            known=len(answers),
            prompt_tokens=sent,
            completion_tokens=received,
            usd=None if self._prices is None else self._prices.cost(sent, received),
            prices=self._prices,
            functions=self._suite.functions if self._suite else (),
            judges=self._suite.judges if self._suite else (),
        )

    def run(self, report: Report | None = None) -> AptitudeResult:
        """Ask what has not been asked, and make the profile.

        Args:
            report: Called after every answer with what has been asked so far.

        Raises:
            AptitudeError: The model cannot be asked, replies hold no answers, or answers cannot be kept. All answers so
                far are kept; running again goes on from there.
            QuestionsError: A function of the suite cannot be imported; nothing was asked.
        """
        if self._store is None:
            with self:
                return self.run(report)
        if self._suite:
            self._suite.prepare()
        asker = self._asker(report)
        tasks: list[TaskResult] = []
        error = None
        if self._core and self.settings.adaptive:
            tasks, error = self._ask_adaptively(asker)
        elif self._core:
            self._ask(asker, self._core)
            scores = self._scores(asker.ledger, self._core)
            on_scale = {f"{PREFIX}{number}": score for number, score in self._on_scale(scores).items()}
            descriptions = {task.name: ", ".join(task.keywords) for task in self._tasks}
            tasks = measured(self._core, asker.ledger.answers, descriptions, on_scale)
        if self._suite and not asker.ledger.stopped:
            asker.ask([(question, 0) for question in self._own])
        if self._suite:
            answers = asker.ledger.answers
            own = {q.id: answers[q.id, 0].score for q in self._own if (q.id, 0) in answers}
            tasks += measured(self._own, answers, self._suite.descriptions, own)
        return self._result(asker.ledger, tasks, error)

    def _ask_adaptively(self, asker: Asker) -> tuple[list[TaskResult], float]:
        """Ask in rounds; returns the tasks, and the standard error of a task's accuracy."""
        model, by_id = CoreModel(self._tasks), {question.number: question for question in self._core}
        target, most, seed = self.settings.target_error, self.most, self.settings.seed
        taken: list[int] = []
        scores: dict[int, float] = {}
        posterior = model.posterior({})
        going = True
        while going and (chosen := next_round(model, posterior, taken, target=target, most=most, seed=seed)):
            taken += chosen
            going = self._ask(asker, [by_id[number] for number in chosen])
            scores = self._scores(asker.ledger, [by_id[number] for number in taken])
            posterior = model.posterior(scores, dict.fromkeys(self._hard & set(scores), self.settings.circle))
        answers = asker.ledger.answers
        unread = [number for number in scores if answers[by_id[number].id, 0].problem]
        return expected(model, posterior, self._on_scale(scores), unread), posterior.error

    def _ask(self, asker: Asker, questions: Sequence[Question]) -> bool:
        """Ask questions, and the rotations of the hard ones that were answered rightly."""
        going = asker.ask([(question, 0) for question in questions])
        if self._hard and going:
            answers = asker.ledger.answers
            right = [q for q in questions if (q.id, 0) in answers and answers[q.id, 0].score == 1.0]
            going = asker.ask([(question, places) for question in right for places in self._turns(question)])
        return going

    def _turns(self, question: Question) -> list[int]:
        return question.rotations(self.settings.circle) if question.number in self._hard else [0]

    def _scores(self, ledger: Ledger, questions: Iterable[Question]) -> dict[int, float]:
        """Outcome of each core item that was asked, in this order; the circle test applied."""
        found = {}
        for question in questions:
            answers = [ledger.answers.get((question.id, places)) for places in self._turns(question)]
            if answers[0] is None:
                continue
            if any(answer is not None and answer.score < 1.0 for answer in answers):
                found[question.number] = 0.0
            elif None not in answers:
                found[question.number] = 1.0
        return found

    def _on_scale(self, scores: dict[int, float]) -> dict[int, float]:
        """Outcomes on the scale of a single question: failed circles count as chance."""
        return {n: self._chance[n] if n in self._hard and score < 1.0 else score for n, score in scores.items()}

    def _result(self, ledger: Ledger, tasks: Sequence[TaskResult], error: float | None) -> AptitudeResult:
        answers = ledger.answers.values()
        core = {question.id for question in self._core}
        problems = Counter(str(answer.problem) for answer in answers if answer.problem)
        letters = [answer.answer for answer in answers if answer.question in core]
        warnings = find_warnings(letters, problems, sorted(getattr(self.subject, "dropped", ())))
        failed = len({question for question, _ in ledger.failed})
        asked = sum(task.asked for task in tasks)
        complete = not ledger.stopped and failed <= MOST_FAILED * max(1, asked + failed)
        if not complete and not ledger.stopped:
            warnings.append(
                f"{failed} questions got no reply: run the same command again, and the profile will be made"
            )
        result = AptitudeResult(
            profile=None,
            tasks=tuple(tasks),
            mode=self.settings.mode,
            questions=len(self._core) + len(self._own),
            problems=dict(problems),
            failed=dict(Counter(ledger.failed.values())),
            retries=dict(ledger.retries),
            fresh=ledger.fresh,
            calls=len(answers),
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            completion_tokens=sum(answer.completion_tokens for answer in answers),
            cost_usd=ledger.spent_usd,
            error=error,
            stopped=ledger.stopped,
            warnings=tuple(warnings),
        )
        return replace(result, profile=self._profile(result)) if complete and tasks else result

    def _profile(self, result: AptitudeResult) -> CapabilityProfile:
        from modelsat import __version__

        mode = self.settings.mode
        sources = dict.fromkeys((task.name for task in self._tasks), f"{SOURCE}, {mode}")
        if self._suite:
            sources |= dict.fromkeys(self._suite.descriptions, f"{SOURCE}, suite {self._suite.name}")
        statements = [
            {
                "task": task.task,
                "description": task.description,
                "accuracy": round(task.accuracy, 6),
                "items": task.asked,
                "interval": (round(task.low, 4), round(task.high, 4)),
                "source": sources[task.task],
            }
            for task in result.tasks
        ]
        settings = {
            **self.subject.settings(),
            "max_tokens": self.subject.max_tokens,
            "mode": mode,
            "prompt": WORDING_VERSION,
            "asked": result.asked,
            "questions": result.questions,
            "unread": result.unread,
            "failed": sum(result.failed.values()),
            "circle": self.settings.circle,
        }
        if mode == "adaptive":
            settings |= {"target_error": self.settings.target_error, "seed": self.settings.seed}
        return CapabilityProfile(
            model=self.name,
            statements=statements,
            provenance=f"{SOURCE}, {result.asked} of {result.questions} questions asked",
            date=datetime.now(timezone.utc).date().isoformat(),
            tested_by=self.settings.tested_by,
            version=f"modelsat {__version__}",
            settings=settings,
        )

    def _asker(self, report: Report | None) -> Asker:
        if self._store is None:
            raise ConfigurationError("enter the test first: with AptitudeTest(...) as test")
        questions, limits = (*self._core, *self._own), self.settings.limits
        return Asker(self.subject, self._store, self._key, questions, limits, self._prices, report)

    @property
    def _key(self) -> str:
        """Hash of what answers depend on, apart from model and question."""
        content = {"prompt": WORDING_VERSION, **self.subject.settings()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def as_subject(model: str | BaseChatModel | Subject, name: str = "") -> Subject:
    """Return what asks ``model``: LiteLLM for a name, LangChain for a chat model.

    Raises:
        ConfigurationError: ``model`` is neither, nor a subject.
    """
    if isinstance(model, str):
        return LiteLLMSubject(model)
    if callable(getattr(model, "ask", None)) and callable(getattr(model, "settings", None)):
        return model  # type: ignore[return-value]
    if callable(getattr(model, "invoke", None)):
        return LangChainSubject(model, name)  # type: ignore[arg-type]
    raise ConfigurationError(
        f"cannot test {type(model).__name__}: give a model's name for LiteLLM, or a LangChain chat model"
    )
