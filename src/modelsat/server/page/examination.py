"""Aptitude tests that are started on the page: one at a time, in a thread of its own, with its progress."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.inference.client import is_loopback
from modelsat.server.settings import ServerSettings

if TYPE_CHECKING:
    from modelsat.lab.aptitude import AptitudeResult, AptitudeTest, Ledger

logger = logging.getLogger("modelsat")
_WAIT_S = 30.0
"""Longest wait for the calls in flight when the server ends."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a test; questions and answers include those of earlier runs."""

    model: str
    to_ask: int  # at most
    known: int = 0  # answers of earlier runs
    asked: int = 0  # answers so far
    right: float = 0.0  # their mean score, 0..1
    failed: int = 0  # questions without a reply
    retries: int = 0
    usd: float = 0.0  # spent so far, as far as prices are known
    planned_usd: float | None = None
    started: float = 0.0
    running: bool = True
    stopping: bool = False
    problem: str = ""  # why it ended without a profile
    warnings: Sequence[str] = ()
    profile: str = ""  # the profile that was kept

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the answers so far; ``None`` before there are any."""
        fresh = self.asked - self.known
        return (time.time() - self.started) / fresh * (self.to_ask - self.asked) if fresh > 0 else None


class _StoppedError(Exception):
    """Somebody pressed Stop."""


class Examiner:
    """Runs one aptitude test at a time. Thread-safe.

    Tests call models from this machine, with its network and its keys. They can be started where the server listens on
    the loopback interface alone, or where its setting ``ui_tests`` says so.

    Args:
        settings: Settings of the server.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self.allowed = is_loopback(settings.host) if settings.ui_tests is None else settings.ui_tests
        self._lock = threading.Lock()
        self._halt = threading.Event()
        self._progress: Progress | None = None
        self._thread: threading.Thread | None = None

    @property
    def progress(self) -> Progress | None:
        """The running test, or else the last one; ``None`` before the first."""
        return self._progress

    def start(
        self,
        model: str,
        *,
        api_base: str,
        api_key: str,
        name: str,
        tasks: Sequence[str],
        budget_usd: float | None,
    ) -> None:
        """Begin a test; the command ``modelsat test`` goes on with it, and the other way round.

        Args:
            model: As LiteLLM names it; with ``api_base``, as the server does.
            api_base: Base URL of an OpenAI-compatible server.
            api_key: Its key, which is kept in memory for the test alone; with LiteLLM, the provider's usual variable
                if empty.
            name: Name in the profile; as the model is called if empty.
            tasks: Only these core tasks.
            budget_usd: Spend no more than this.

        Raises:
            ConfigurationError: Tests are not allowed here, one is running, or the model cannot be called by its name.
            ModelSATError: As :class:`~modelsat.lab.aptitude.AptitudeTest`.
        """
        if not self.allowed:
            raise ConfigurationError(
                "tests are not started from a page that others can open, as they call models with this server's keys: "
                "set ui_tests: true in the server's settings, or run modelsat test"
            )
        if not model:
            raise ConfigurationError("name the model to test")
        with self._lock:
            if self._progress is not None and self._progress.running:
                raise ConfigurationError(f"{self._progress.model} is being tested: wait for its end, or stop it")
            from modelsat.lab.aptitude import AptitudeSettings, AptitudeTest, Limits
            from modelsat.lab.aptitude.subjects import subject_named

            limits = Limits(budget_usd=budget_usd)
            given = AptitudeSettings(questions=self._settings.ui_questions, tasks=tuple(tasks), limits=limits)
            test = AptitudeTest(subject_named(model, api_base, api_key=api_key or None), given, name=name)
            with ExitStack() as entered:
                entered.enter_context(test)  # takes the lock of the model's answers, so that what is wrong is said now
                plan = test.plan()
                held = entered.pop_all()
            self._halt.clear()
            self._progress = Progress(
                test.name, plan.known + plan.calls, plan.known, plan.known, planned_usd=plan.usd, started=time.time()
            )
            work = (test, held, bool(tasks))
            self._thread = threading.Thread(target=self._run, args=work, name="modelsat-examination")
            self._thread.start()

    def stop(self) -> None:
        """End the running test; the answers so far are kept."""
        self._halt.set()
        if self._progress is not None and self._progress.running:
            self._change(stopping=True)

    def close(self) -> None:
        """Stop, and wait for the calls in flight."""
        self.stop()
        if self._thread is not None:
            self._thread.join(_WAIT_S)

    def _run(self, test: AptitudeTest, held: ExitStack, partly: bool) -> None:
        with held:
            try:
                self._finish(test.run(self._report), partly)
            except _StoppedError:
                self._end("stopped; the answers so far are kept, and a test of the same model goes on from there")
            except ModelSATError as error:
                self._end(str(error))
            except BaseException as error:  # the page must say that it ended, whatever it was
                logger.error("the aptitude test of %s failed: %s", test.name, type(error).__name__)
                logger.debug("the error", exc_info=error)
                self._end(f"{type(error).__name__}, see the server's log")

    def _report(self, ledger: Ledger) -> None:
        answers = ledger.answers.values()
        right = sum(answer.score for answer in answers) / len(answers) if answers else 0.0
        self._change(
            asked=len(answers),
            right=right,
            failed=len(ledger.failed),
            retries=sum(ledger.retries.values()),
            usd=ledger.spent_usd,
        )
        if self._halt.is_set():
            raise _StoppedError

    def _finish(self, result: AptitudeResult, partly: bool) -> None:
        from modelsat.lab.aptitude import keep

        if result.profile is None:
            self._end(result.stopped or "too little was answered: start it again", result.warnings)
            return
        try:
            made, _ = keep(result.profile, merge=partly)
        except ModelSATError as error:
            self._end(str(error), result.warnings)
            return
        self._end("", result.warnings, made.model)

    def _end(self, problem: str, warnings: Sequence[str] = (), profile: str = "") -> None:
        self._change(running=False, problem=problem, warnings=tuple(warnings), profile=profile)

    def _change(self, **fields: Any) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress = replace(self._progress, **fields)
