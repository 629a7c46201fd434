"""What a test is going to do: shown and agreed to before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelsat.lab.aptitude.asking import Ledger
from modelsat.lab.aptitude.pricing import Prices, answer_tokens, prompt_tokens
from modelsat.lab.aptitude.questions import Question


@dataclass(frozen=True, slots=True)
class Plan:
    """What a test is going to do.

    Attributes:
        model: The model.
        mode: ``"adaptive"``, ``"full"``, or ``"suite"`` if no core task is asked.
        questions: Questions the test has.
        calls: Calls still to make, at most (without retries; the circle test's rotations of half of the hard items).
        known: Answers that earlier runs have left.
        prompt_tokens: Estimated tokens of the prompts still to send.
        completion_tokens: Estimated tokens of the replies still to come.
        usd: Estimated cost of them; ``None`` if no price is known.
        prices: The prices that were assumed.
        functions: Python functions of one's own suite that will run.
        judges: Judge models that will be called on top.
    """

    model: str
    mode: str
    questions: int
    calls: int
    known: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    prices: Prices | None
    functions: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()


def estimate(
    model: str,
    limit: int | None,
    jobs: Sequence[tuple[Question, int]],
    most: int | None,
    ledger: Ledger,
    prices: Prices | None,
) -> tuple[int, int, int, float | None]:
    """Calls, prompt tokens, completion tokens and USD of the jobs that have no answer yet.

    Args:
        model: Name of the model.
        limit: Limit of a reply's length.
        jobs: Every question that may be asked, with its rotation.
        most: How many of them are asked at most, answered ones included; ``None`` for all.
        ledger: What has been answered.
        prices: Prices, if known.
    """
    missing = [question for question, rotation in jobs if (question.id, rotation) not in ledger.answers]
    calls = len(missing) if most is None else max(0, min(len(missing), most - len(ledger.answers)))
    mean_prompt = prompt_tokens(missing) / len(missing) if missing else 0.0
    seen = [answer.completion_tokens for answer in ledger.answers.values() if answer.completion_tokens]
    mean_reply = sum(seen) / len(seen) if seen else answer_tokens(model, limit)
    sent, received = round(calls * mean_prompt), round(calls * mean_reply)
    return calls, sent, received, None if prices is None else prices.cost(sent, received)
