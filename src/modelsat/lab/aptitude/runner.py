"""Asking many questions at once: retries, rate limits, budget, and a stop that loses nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from modelsat.errors import AptitudeError, ModelSATError
from modelsat.lab.aptitude.faults import Lasting, Passing, classify
from modelsat.lab.aptitude.plan import Prices
from modelsat.lab.aptitude.questions import Question, messages
from modelsat.lab.aptitude.replies import Reply
from modelsat.lab.aptitude.store import Answer, AnswerStore, answer_of
from modelsat.lab.aptitude.subjects import Subject

IN_A_ROW = 10
"""Calls in a row without a reply after which the server is given up."""
LOOKED_AT = 20
"""First replies that are looked at: if nearly none holds an answer, the test is stopped."""
LEAST_READ = 0.2
_LONGEST_WAIT = 120.0
_TIMEOUTS = 2
logger = logging.getLogger("modelsat")

_T = TypeVar("_T")
Key = tuple[str, int]
"""Id of a question and its rotation."""


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


@dataclass
class Ledger:
    """What has been asked, and what came of it.

    Attributes:
        answers: Answers by question and rotation, earlier runs included.
        failed: Why questions got no reply in this run.
        retries: Tries beyond the first, by reason.
        fresh: Answers that came in this run.
        spent_usd: Cost of all answers with a known price.
        stopped: Why the run ended early; empty if it did not.
    """

    answers: dict[Key, Answer] = field(default_factory=dict)
    failed: dict[Key, str] = field(default_factory=dict)
    retries: Counter[str] = field(default_factory=Counter)
    fresh: int = 0
    spent_usd: float = 0.0
    stopped: str = ""

    def add(self, answer: Answer) -> None:
        """Take an answer in."""
        self.answers[answer.question, answer.rotation] = answer
        self.spent_usd += answer.cost_usd or 0.0

    @property
    def mean_usd(self) -> float:
        """Mean cost of an answer so far."""
        return self.spent_usd / len(self.answers) if self.answers else 0.0


class _NoReplyError(Exception):
    """A call that is worth another try."""

    def __init__(self, fault: Passing) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class Asker:
    """Asks one model; every answer is on disk before it counts.

    Args:
        subject: The model.
        store: Where answers are kept, opened.
        settings: Under which settings they are kept.
        limits: See :class:`Limits`.
        prices: Prices, where replies do not bring their cost.
        on_answer: Called in the calling thread after every answer or failure.
    """

    def __init__(
        self,
        subject: Subject,
        store: AnswerStore,
        settings: str,
        limits: Limits,
        prices: Prices | None = None,
        on_answer: Callable[[Ledger], None] | None = None,
    ) -> None:
        self.ledger = Ledger()
        self._subject, self._store, self._settings = subject, store, settings
        self._limits, self._prices, self._report = limits, prices, on_answer or (lambda ledger: None)
        self._halt = threading.Event()
        self._resume_at = 0.0
        self._in_a_row = 0
        self._early: list[Answer] = []
        self._digests: dict[str, str] = {}

    def recall(self, questions: Mapping[str, Question]) -> int:
        """Take in what earlier runs have asked; returns how many answers that is.

        Left out are answers to a question whose words have changed, and replies cut off at a lower limit of length than
        now holds.
        """
        for answer in self._store.answers(self._settings):
            question = questions.get(answer.question)
            if question is not None and self._digest(question) == answer.digest and not self._cut_short(answer):
                self.ledger.add(answer)
        return len(self.ledger.answers)

    def ask(self, jobs: Iterable[tuple[Question, int]]) -> bool:
        """Ask all of ``jobs`` that have no answer yet; returns whether the test may go on.

        Raises:
            AptitudeError: The model cannot be asked at all, or answers cannot be kept.
        """
        queue = [job for job in jobs if self._open(job)][::-1]
        pending: dict[Future[Answer], Key] = {}
        with ThreadPoolExecutor(self._limits.concurrency, thread_name_prefix="modelsat-test") as pool:
            try:
                while (queue and not self.ledger.stopped) or pending:
                    while queue and len(pending) < self._limits.concurrency and self._affordable(len(pending)):
                        question, rotation = queue.pop()
                        pending[pool.submit(self._one, question, rotation)] = (question.id, rotation)
                    if not pending:
                        break
                    done, _ = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._settle(future, pending.pop(future))
            except BaseException:
                self._halt.set()  # no more retries; calls in flight end, and what they bring is kept
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return not self.ledger.stopped

    def _open(self, job: tuple[Question, int]) -> bool:
        key = (job[0].id, job[1])
        return key not in self.ledger.answers and key not in self.ledger.failed

    def _affordable(self, in_flight: int) -> bool:
        budget = self._limits.budget_usd
        if self.ledger.stopped:
            return False
        if budget is None or self.ledger.spent_usd + (in_flight + 1) * self.ledger.mean_usd <= budget:
            return True
        if not in_flight:
            spent = f"{self.ledger.spent_usd:.4f} USD spent"
            self.ledger.stopped = f"the budget of {budget:g} USD is used up ({spent}): raise --budget to go on"
        return False

    def _settle(self, future: Future[Answer], key: Key) -> None:
        try:
            answer = future.result()
        except _NoReplyError as failure:
            self.ledger.failed[key] = failure.fault.reason
            self._in_a_row += 1
            if self._in_a_row >= IN_A_ROW:
                raise AptitudeError(
                    f"the last {self._in_a_row} questions got no reply ({failure.fault.reason}): see whether the "
                    "server is up and the limits are right (--timeout, --concurrency), and run the same command "
                    f"again; {len(self.ledger.answers)} answers are kept"
                ) from failure
        else:
            self._in_a_row = 0
            self.ledger.add(answer)
            self.ledger.fresh += 1
            self._look(answer)
        self._report(self.ledger)

    def _look(self, answer: Answer) -> None:
        """Stop early where replies hold no answers: it would cost the whole test to learn nothing."""
        if self._limits.keep_going or len(self._early) >= LOOKED_AT:
            return
        self._early.append(answer)
        if len(self._early) < LOOKED_AT:
            return
        problems = Counter(str(answer.problem) for answer in self._early if answer.problem)
        if sum(problems.values()) > (1.0 - LEAST_READ) * LOOKED_AT:
            listed = ", ".join(f"{count} {problem}" for problem, count in problems.most_common())
            raise AptitudeError(
                f"{sum(problems.values())} of the first {LOOKED_AT} replies hold no answer ({listed}). "
                f"{_advice(problems)} --keep-going goes on regardless and counts them as wrong"
            )

    def _one(self, question: Question, rotation: int) -> Answer:
        asked = question.rotated(rotation)
        reply, seconds = self._patiently(self._subject.name, lambda: self._subject.ask(messages(asked)))
        if reply.cost_usd is None and self._prices is not None:
            reply = _priced(reply, self._prices)
        verdict, _ = self._patiently(f"{self._subject.name}: checking", lambda: question.checker.check(asked, reply))
        answer = answer_of(
            question.id,
            rotation,
            self._digest(question),
            reply,
            verdict,
            seconds=seconds,
            limit=self._subject.max_tokens,
        )
        self._store.record(self._settings, answer, reply)
        return answer

    def _patiently(self, who: str, call: Callable[[], _T]) -> tuple[_T, float]:
        """Make a call, again where that may help; returns what it gave and the seconds of the last try."""
        retrying = Retrying(
            retry=retry_if_exception_type(_NoReplyError),
            stop=lambda state: self._halt.is_set() or _tried_enough(state, self._limits.attempts),
            wait=self._wait,
            sleep=self._sleep,
            before_sleep=self._count,
            reraise=True,
        )
        return retrying(self._try, who, call)

    def _try(self, who: str, call: Callable[[], _T]) -> tuple[_T, float]:
        self._pause()
        start = time.monotonic()
        try:
            return call(), time.monotonic() - start
        except ModelSATError:
            raise
        except Exception as error:
            fault = classify(error)
            if isinstance(fault, Passing):
                if fault.wait is not None:
                    self._resume_at = max(self._resume_at, time.monotonic() + min(fault.wait, _LONGEST_WAIT))
                raise _NoReplyError(fault) from error
            reason = fault.reason if isinstance(fault, Lasting) else fault.problem
            raise AptitudeError(f"cannot test {who}: {reason}") from error

    def _pause(self) -> None:
        """Where the server asked one call to wait, all wait."""
        while (left := self._resume_at - time.monotonic()) > 0 and not self._halt.is_set():
            self._halt.wait(left)

    def _wait(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, _NoReplyError) and failure.fault.wait is not None:
            return min(failure.fault.wait, _LONGEST_WAIT)
        return wait_random_exponential(multiplier=1.0, max=self._limits.longest_wait)(state)

    def _sleep(self, seconds: float) -> None:
        self._halt.wait(seconds)

    def _count(self, state: RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        self.ledger.retries[str(failure)] += 1
        logger.info("asking again (%s, attempt %d)", failure, state.attempt_number + 1)

    def _digest(self, question: Question) -> str:
        found = self._digests.get(question.id)
        if found is None:
            found = self._digests[question.id] = question.digest
        return found

    def _cut_short(self, answer: Answer) -> bool:
        if answer.problem != "truncated" or answer.max_tokens is None:
            return False
        return self._subject.max_tokens is None or self._subject.max_tokens > answer.max_tokens


def _tried_enough(state: RetryCallState, attempts: int) -> bool:
    failure = state.outcome.exception() if state.outcome else None
    slow = isinstance(failure, _NoReplyError) and failure.fault.reason == "no answer in time"
    return stop_after_attempt(min(attempts, _TIMEOUTS) if slow else attempts)(state)


def _priced(reply: Reply, prices: Prices) -> Reply:
    if not reply.prompt_tokens and not reply.completion_tokens:
        return reply
    return replace(reply, cost_usd=prices.cost(reply.prompt_tokens, reply.completion_tokens))


def _advice(problems: Mapping[str, int]) -> str:
    worst = max(problems, key=lambda problem: problems[problem])
    return {
        "truncated": "They are cut off: raise --max-tokens, or have the model reason less;",
        "only reasoning": "The model only reasons: raise --max-tokens, or switch its reasoning off;",
        "empty": "The model says nothing: is it a chat model, and is its chat template right?",
        "refused": "The model declines: does a system prompt of the server forbid exam questions?",
        "blocked": "The provider's content filter stops them: test another deployment;",
    }.get(str(worst), "Look at what it says in the file of answers; is it a chat model that follows instructions?")
