"""The aptitude test: asks a model the core tasks, and your own tasks, and makes its capability profile."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError
from modelsat.lab.aptitude.adaptive import CoreModel, Posterior, next_round
from modelsat.lab.aptitude.options import MOST_SHARE, AptitudeSettings, check_settings, chosen_tasks
from modelsat.lab.aptitude.plan import Plan, estimate, find_prices
from modelsat.lab.aptitude.questions import WORDING_VERSION, Question, core_questions, hard_items, passed, rotations
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
_PREFIX = "mmlu_pro/"

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
        self._tasks = chosen_tasks(self.settings)
        check_settings(self.settings)
        self._core = core_questions(self.settings.questions, self._tasks) if self._tasks else []
        self._suite = read_suite(self.settings.suite) if self.settings.suite is not None else None
        self._prices = self.settings.prices or find_prices(self.subject.name)
        if self.settings.limits.budget_usd is not None and self._prices is None:
            raise ConfigurationError(
                f"no price is known for {self.subject.name}, so a budget cannot be kept: give --input-price and "
                "--output-price in USD for a million tokens (prices=Prices(...) in Python)"
            )
        self._hard = hard_items(self._tasks) if self.settings.circle > 1 else frozenset()
        self._store: AnswerStore | None = None
        self._asked: list[int] = []

    @property
    def answers_file(self) -> Path:
        """Where the answers are kept."""
        chosen = self.settings.answers
        return Path(chosen) if chosen is not None else answers_path(self.subject.name, self.subject.endpoint)

    @property
    def tasks_by_question(self) -> dict[str, str]:
        """Task of each question, by the question's id."""
        return {
            question.id: question.task for question in (*self._core, *(self._suite.questions if self._suite else ()))
        }

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
        close = getattr(self.subject, "close", None)
        if callable(close):
            close()

    def plan(self) -> Plan:
        """Return what the test is going to do and cost, earlier answers taken off. Within ``with`` only."""
        asker = self._asker(None)
        core = [(question, places) for question in self._core for places in self._turns(question)]
        most = None
        if self.settings.adaptive and self._core:
            most = round(self.most * len(core) / len(self._core))
        parts = [(core, most), ([(question, 0) for question in self._suite.questions] if self._suite else [], None)]
        calls = sent = received = 0
        usd: float | None = 0.0
        for jobs, limit in parts:
            ids = {question.id for question, _ in jobs}
            known = Ledger({key: answer for key, answer in asker.ledger.answers.items() if key[0] in ids})
            more = estimate(self.subject.name, self.subject.max_tokens, jobs, limit, known, self._prices)
            calls, sent, received = calls + more[0], sent + more[1], received + more[2]
            usd = None if usd is None or more[3] is None else usd + more[3]
        return Plan(
            model=self.name,
            mode=self._mode,
            questions=len(self._core) + (len(self._suite.questions) if self._suite else 0),
            calls=calls,
            known=len(asker.ledger.answers),
            prompt_tokens=sent,
            completion_tokens=received,
            usd=usd,
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
        posterior = self._ask_core(asker) if self._core else None
        if self._suite and not asker.ledger.stopped:
            asker.ask([(question, 0) for question in self._suite.questions])
        return self._result(asker.ledger, posterior)

    def _ask_core(self, asker: Asker) -> Posterior | None:
        if not self.settings.adaptive:
            self._ask(asker, self._core)
            return None
        model, by_id = CoreModel(self._tasks), {_number(question): question for question in self._core}
        taken: list[int] = []
        posterior = model.posterior({})
        while chosen := next_round(
            model,
            posterior,
            taken,
            target=self.settings.target_error,
            most=self.most,
            seed=self.settings.seed,
        ):
            taken += chosen
            going = self._ask(asker, [by_id[number] for number in chosen])
            self._asked = taken
            scores = self._scores(asker.ledger, taken)
            posterior = model.posterior(scores, dict.fromkeys(self._hard & set(scores), self.settings.circle))
            if not going:
                break
        return posterior

    def _ask(self, asker: Asker, questions: Sequence[Question]) -> bool:
        """Ask questions, and the rotations of the hard ones that were answered rightly."""
        going = asker.ask([(question, 0) for question in questions])
        if self._hard and going:
            right = [question for question in questions if _score(asker.ledger, question.id) == 1.0]
            going = asker.ask([(question, places) for question in right for places in self._turns(question)])
        return going

    def _turns(self, question: Question) -> list[int]:
        return rotations(question, self.settings.circle) if _number(question) in self._hard else [0]

    def _scores(self, ledger: Ledger, numbers: Sequence[int]) -> dict[int, float]:
        """Outcome of each core item asked, in the order asked; the circle test applied."""
        by_id = {_number(question): question for question in self._core}
        found: dict[int, float] = {}
        for number in numbers:
            question = by_id[number]
            if (question.id, 0) not in ledger.answers:
                continue
            if number in self._hard:
                outcome = passed(question, self.settings.circle, ledger.answers)
                if outcome is None:
                    continue
                found[number] = outcome
            else:
                found[number] = ledger.answers[question.id, 0].score
        return found

    def _result(self, ledger: Ledger, posterior: Posterior | None) -> AptitudeResult:
        tasks = self._core_results(ledger, posterior)
        if self._suite:
            scores = {q.id: score for q in self._suite.questions if (score := _score(ledger, q.id)) is not None}
            answers = {key[0]: answer for key, answer in ledger.answers.items()}
            tasks += measured(self._suite.questions, answers, self._suite.descriptions, scores)
        choices = {question.id for question in self._core}
        problems = Counter(str(answer.problem) for answer in ledger.answers.values() if answer.problem)
        letters = [answer.answer for answer in ledger.answers.values() if answer.question in choices]
        dropped = sorted(getattr(self.subject, "dropped", ()))
        warnings = find_warnings(letters, problems, dropped)
        failed = len({key[0] for key in ledger.failed})
        asked = sum(task.asked for task in tasks)
        complete = not ledger.stopped and failed <= MOST_FAILED * max(1, asked + failed)
        if not complete and not ledger.stopped:
            warnings += (f"{failed} questions got no reply: run the same command again, and the profile will be made",)
        result = AptitudeResult(
            profile=None,
            tasks=tuple(tasks),
            mode=self._mode,
            questions=len(self._core) + (len(self._suite.questions) if self._suite else 0),
            problems=dict(problems),
            failed=dict(Counter(ledger.failed.values())),
            retries=dict(ledger.retries),
            fresh=ledger.fresh,
            calls=len(ledger.answers),
            prompt_tokens=sum(answer.prompt_tokens for answer in ledger.answers.values()),
            completion_tokens=sum(answer.completion_tokens for answer in ledger.answers.values()),
            cost_usd=ledger.spent_usd,
            error=posterior.error if posterior is not None else None,
            stopped=ledger.stopped,
            warnings=warnings,
        )
        if not complete or not tasks:
            return result
        return replace(result, profile=self._profile(result))

    def _core_results(self, ledger: Ledger, posterior: Posterior | None) -> list[TaskResult]:
        if not self._core:
            return []
        answers = {key[0]: answer for key, answer in ledger.answers.items() if key[1] == 0}
        if posterior is not None:
            scores = self._scores(ledger, self._asked)
            unread = [number for number in scores if answers[f"{_PREFIX}{number}"].problem]
            return expected(CoreModel(self._tasks), posterior, self._on_scale(scores), unread)
        scores = self._scores(ledger, [_number(question) for question in self._core])
        kept = {f"{_PREFIX}{number}": score for number, score in self._on_scale(scores).items()}
        descriptions = {task.name: ", ".join(task.keywords) for task in self._tasks}
        return measured(self._core, {key: answers[key] for key in kept}, descriptions, kept)

    def _on_scale(self, scores: Mapping[int, float]) -> dict[int, float]:
        """Outcomes on the scale of a single question: failed circles count as chance."""
        chance = {item.id: item.chance for task in self._tasks for item in task.items}
        return {
            number: chance[number] if number in self._hard and score < 1.0 else score
            for number, score in scores.items()
        }

    def _profile(self, result: AptitudeResult) -> CapabilityProfile:
        from modelsat import __version__

        source = f"{SOURCE}, {self._mode}" if self._core else SOURCE
        own = set(self._suite.descriptions) if self._suite else set()
        statements = [
            {
                "task": task.task,
                "description": task.description,
                "accuracy": round(task.accuracy, 6),
                "items": task.asked,
                "interval": (round(task.low, 4), round(task.high, 4)),
                "source": f"{SOURCE}, suite {self._suite.name}" if self._suite and task.task in own else source,
            }
            for task in result.tasks
        ]
        settings = {
            **self.subject.settings(),
            "max_tokens": self.subject.max_tokens,
            "mode": self._mode,
            "prompt": WORDING_VERSION,
            "asked": result.asked,
            "questions": result.questions,
            "unread": result.unread,
            "failed": sum(result.failed.values()),
            "circle": self.settings.circle,
        }
        if self._mode == "adaptive":
            settings |= {"target_error": self.settings.target_error, "seed": self.settings.seed}
        return CapabilityProfile(
            model=self.name,
            statements=statements,
            provenance=f"aptitude test, {result.asked} of {result.questions} questions asked",
            date=datetime.now(timezone.utc).date().isoformat(),
            tested_by=self.settings.tested_by,
            version=f"modelsat {__version__}",
            settings=settings,
        )

    def _asker(self, report: Report | None) -> Asker:
        if self._store is None:
            raise ConfigurationError("enter the test first: with AptitudeTest(...) as test")
        asker = Asker(self.subject, self._store, self._key, self.settings.limits, self._prices, report)
        asker.recall(
            {question.id: question for question in [*self._core, *(self._suite.questions if self._suite else ())]}
        )
        self._asked = []
        return asker

    @property
    def _mode(self) -> str:
        return "suite" if not self._core else "adaptive" if self.settings.adaptive else "full"

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


def _number(question: Question) -> int:
    return int(question.id.removeprefix(_PREFIX))


def _score(ledger: Ledger, identifier: str) -> float | None:
    answer = ledger.answers.get((identifier, 0))
    return None if answer is None else answer.score
