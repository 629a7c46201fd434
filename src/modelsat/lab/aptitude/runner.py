"""Asking many questions at once: retries, rate limits, budget, and a stop that loses nothing."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TypeVar

from modelsat.errors import AptitudeError, ModelSATError
from modelsat.lab.aptitude.faults import Lasting, Passing, classify
from modelsat.lab.aptitude.plan import Limits, Prices
from modelsat.lab.aptitude.questions import Question
from modelsat.lab.aptitude.store import Answer, AnswerStore
from modelsat.lab.aptitude.subjects import Subject

IN_A_ROW = 10
"""Calls in a row without a reply after which the server is given up."""
LOOKED_AT = 20
"""First replies that are looked at: if nearly none holds an answer, the test is stopped."""
LEAST_READ = 0.2
_LONGEST_WAIT = 120.0
_TIMEOUTS = 2
_LONGEST_ANSWER = 500
_ADVICE = {
    "truncated": "They are cut off: raise --max-tokens, or have the model reason less;",
    "only reasoning": "The model only reasons: raise --max-tokens, or switch its reasoning off;",
    "empty": "The model says nothing: is it a chat model, and is its chat template right?",
    "refused": "The model declines: does a system prompt of the server forbid exam questions?",
    "blocked": "The provider's content filter stops them: test another deployment;",
}
logger = logging.getLogger("modelsat")

_T = TypeVar("_T")
Key = tuple[str, int]
"""Id of a question and its rotation."""


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


class _NoReplyError(Exception):
    """A call that got no reply, however often it was tried."""


class Asker:
    """Asks one model; every answer is on disk before it counts.

    Args:
        subject: The model.
        store: Where answers are kept, opened.
        settings: Under which settings they are kept.
        questions: What may be asked. Earlier answers to them count, but not if their words have changed, nor if they
            were cut off at a lower limit of length than now holds.
        limits: How hard, how long and for how much to ask.
        prices: Prices, where replies do not bring their cost.
        on_answer: Called in the calling thread after every answer or failure.
    """

    def __init__(
        self,
        subject: Subject,
        store: AnswerStore,
        settings: str,
        questions: Iterable[Question],
        limits: Limits,
        prices: Prices | None = None,
        on_answer: Callable[[Ledger], None] | None = None,
    ) -> None:
        self.ledger = Ledger()
        self._subject, self._store, self._settings = subject, store, settings
        self._limits, self._prices, self._report = limits, prices, on_answer
        self._halt = threading.Event()
        self._resume_at = 0.0
        self._in_a_row = 0
        self._early: list[Answer] = []
        self._digests = {question.id: question.digest for question in questions}
        for answer in store.answers(settings):
            if self._digests.get(answer.question) == answer.digest and not self._cut_short(answer):
                self.ledger.add(answer)

    def ask(self, jobs: Iterable[tuple[Question, int]]) -> bool:
        """Ask all of ``jobs`` that have no answer yet; returns whether the test may go on.

        Raises:
            AptitudeError: The model cannot be asked at all, or answers cannot be kept.
        """
        done = self.ledger.answers.keys() | self.ledger.failed.keys()
        queue = [(question, rotation) for question, rotation in jobs if (question.id, rotation) not in done][::-1]
        pending: dict[Future[Answer], Key] = {}
        with ThreadPoolExecutor(self._limits.concurrency, thread_name_prefix="modelsat-test") as pool:
            try:
                while True:
                    while queue and len(pending) < self._limits.concurrency and self._affordable(len(pending)):
                        question, rotation = queue.pop()
                        pending[pool.submit(self._one, question, rotation)] = (question.id, rotation)
                    if not pending:
                        break
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        self._settle(future, pending.pop(future))
            except BaseException:
                self._halt.set()  # no more retries; calls in flight end, and what they bring is kept
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return not self.ledger.stopped

    def _affordable(self, in_flight: int) -> bool:
        budget, spent = self._limits.budget_usd, self.ledger.spent_usd
        if self.ledger.stopped:
            return False
        mean = spent / len(self.ledger.answers) if self.ledger.answers else 0.0
        if budget is None or spent + (in_flight + 1) * mean <= budget:
            return True
        if not in_flight:
            self.ledger.stopped = (
                f"the budget of {budget:g} USD is used up ({spent:.4f} USD spent): raise --budget to go on"
            )
        return False

    def _settle(self, future: Future[Answer], key: Key) -> None:
        try:
            answer = future.result()
        except _NoReplyError as failure:
            self.ledger.failed[key] = str(failure)
            self._in_a_row += 1
            if self._in_a_row >= IN_A_ROW:
                raise AptitudeError(
                    f"the last {self._in_a_row} questions got no reply ({failure}): see whether the server is up and "
                    "the limits are right (--timeout, --concurrency), and run the same command again; "
                    f"{len(self.ledger.answers)} answers are kept"
                ) from failure
        else:
            self._in_a_row = 0
            self.ledger.add(answer)
            self.ledger.fresh += 1
            self._look(answer)
        if self._report is not None:
            self._report(self.ledger)

    def _look(self, answer: Answer) -> None:
        """Stop early where replies hold no answers: it would cost the whole test to learn nothing."""
        if self._limits.keep_going or len(self._early) >= LOOKED_AT:
            return
        self._early.append(answer)
        problems = Counter(answer.problem for answer in self._early if answer.problem)
        if len(self._early) == LOOKED_AT and problems.total() > (1.0 - LEAST_READ) * LOOKED_AT:
            listed = ", ".join(f"{count} {problem}" for problem, count in problems.most_common())
            other = "Look at what it says in the file of answers; is it a chat model that follows instructions?"
            raise AptitudeError(
                f"{problems.total()} of the first {LOOKED_AT} replies hold no answer ({listed}). "
                f"{_ADVICE.get(problems.most_common(1)[0][0], other)} --keep-going goes on regardless and counts them "
                "as wrong"
            )

    def _one(self, question: Question, rotation: int) -> Answer:
        asked = question.rotated(rotation)
        reply, seconds = self._patiently(self._subject.name, lambda: self._subject.ask(asked.messages))
        sent, received = reply.prompt_tokens, reply.completion_tokens
        if reply.cost_usd is None and self._prices is not None and (sent or received):
            reply = replace(reply, cost_usd=self._prices.cost(sent, received))
        verdict, _ = self._patiently(f"{self._subject.name}: checking", lambda: question.checker.check(asked, reply))
        answer = Answer(
            question=question.id,
            rotation=rotation,
            digest=self._digests[question.id],
            score=verdict.score,
            answer=verdict.answer and verdict.answer[:_LONGEST_ANSWER],
            problem=verdict.problem,
            finish=reply.finish,
            max_tokens=self._subject.max_tokens,
            prompt_tokens=sent,
            completion_tokens=received,
            cost_usd=(reply.cost_usd or 0.0) + verdict.cost_usd if verdict.cost_usd else reply.cost_usd,
            seconds=round(seconds, 3),
        )
        self._store.record(self._settings, answer, reply)
        return answer

    def _patiently(self, who: str, call: Callable[[], _T]) -> tuple[_T, float]:
        """Make a call, again where that may help; returns what it gave and the seconds of the last try."""
        attempt = 0
        while True:
            while (left := self._resume_at - time.monotonic()) > 0 and not self._halt.is_set():
                self._halt.wait(left)  # where the server asked one call to wait, all wait
            start = time.monotonic()
            try:
                return call(), time.monotonic() - start
            except ModelSATError:
                raise
            except Exception as error:
                fault = classify(error)
                if not isinstance(fault, Passing):
                    reason = fault.reason if isinstance(fault, Lasting) else fault.problem
                    raise AptitudeError(f"cannot test {who}: {reason}") from error
                attempt += 1
                attempts = self._limits.attempts
                if fault.reason == "no answer in time":
                    attempts = min(attempts, _TIMEOUTS)
                if fault.wait is not None:
                    self._resume_at = max(self._resume_at, time.monotonic() + min(fault.wait, _LONGEST_WAIT))
                if attempt >= attempts or self._halt.is_set():
                    raise _NoReplyError(fault.reason) from error
            self.ledger.retries[fault.reason] += 1
            logger.info("asking again (%s, attempt %d)", fault.reason, attempt + 1)
            if fault.wait is None:
                self._halt.wait(random.uniform(0, min(2.0 ** (attempt - 1), self._limits.longest_wait)))  # noqa: S311

    def _cut_short(self, answer: Answer) -> bool:
        if answer.problem != "truncated" or answer.max_tokens is None:
            return False
        return self._subject.max_tokens is None or self._subject.max_tokens > answer.max_tokens
