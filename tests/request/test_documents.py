"""A question about a pasted document is the question, with the document's length as its cost."""

from __future__ import annotations

import time

import pytest

from modelsat.request import extract_instruction
from modelsat.request.envelopes import DEFAULT_READER
from modelsat.request.needs import find_needs
from modelsat.request.wording import split_document
from modelsat.router import Router

PROSE = (
    "The town council met on a rainy evening to talk about the old bridge. Mrs Hall said that it had stood for ninety "
    "years, and that nobody had ever fallen into the river. The engineer was of another mind.\n\n"
) * 40
CODE = "def merge(left, right):\n    return [a if a < b else b for a, b in zip(left, right)]  # {broken}\n\n" * 60
HARD = "Prove that the ring of integers of Q(sqrt(-5)) is not a principal ideal domain, and find its class group."


@pytest.mark.parametrize(
    ("before", "after", "question"),
    [
        ("What does the article say about the bridge?", "", "What does the article say about the bridge?"),
        ("", "Who spoke first in the meeting above?", "Who spoke first in the meeting above?"),
        ("Please summarize this report in two sentences:", "", "Please summarize this report in two sentences:"),
        ("Here is a letter.", "What is the letter about?", "Here is a letter.\n\nWhat is the letter about?"),
    ],
)
def test_the_question_is_scored_and_the_document_counts(before: str, after: str, question: str) -> None:
    text = f"{before}\n\n{PROSE}\n\n{after}".strip()
    assert extract_instruction(text)[0] == question
    history = [{"role": "user", "content": HARD}, {"role": "assistant", "content": "Proof. ..."}]
    assert extract_instruction([*history, {"role": "user", "content": text}])[0] == question, "a topic of its own"
    tokens = find_needs(DEFAULT_READER.turns(text)).prompt_tokens
    assert tokens > len(PROSE) / 8


def test_a_question_that_hardly_says_what_is_asked_brings_some_of_the_document() -> None:
    text = extract_instruction(f"Summarize this:\n\n{PROSE}")[0]
    assert text.startswith("The town council")
    assert text.endswith("\n\nSummarize this:")
    assert len(text) < 600


def test_a_follow_up_inherits_the_question_not_the_document() -> None:
    asked = f"What does the article say about the bridge?\n\n{PROSE}"
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": "It is old."}]
    text = extract_instruction([*turns, {"role": "user", "content": "and why?"}])[0]
    assert text.startswith("What does the article say about the bridge?")
    assert "town council" not in text


@pytest.mark.parametrize(
    "text",
    [
        f"What is wrong with this text?\n\n{PROSE[:1_000]}",
        f"Why does this report script fail?\n\n```python\n{CODE}```",
        f"Explain the following text:\n\n{CODE}",
        f"{PROSE}\n\nQuestion 7\n\nA. The bridge\nB. The river\nC. The rain\nD. The council",
        f"{PROSE}\n\nThe council went home.",
        PROSE,
        "word " * 2_000,
        f"What is x?\n\n{'Let $x_1 + 2^n = 3$ and {y}. ' * 300}",
    ],
)
def test_anything_else_is_scored_whole(text: str) -> None:
    assert split_document(text) is None


def test_the_shipped_weights_read_it_so() -> None:
    question = "What does the article say about the age of the bridge?"
    router = Router(["gpt-4o-mini", "gpt-4o"])
    alone, pasted = router.route_batch([question, f"{question}\n\n{PROSE}"])
    assert pasted.scores == alone.scores
    assert pasted.tokens["prompt"] > 50 * alone.tokens["prompt"]
    assert pasted.costs["gpt-4o"] > alone.costs["gpt-4o"]


@pytest.mark.parametrize("text", ["\n\n" * 500_000, "a\n\n" * 300_000, "1. a\n" * 200_000, f"{PROSE * 100}\n\nWhat?"])
def test_a_megabyte_is_quick(text: str) -> None:
    started = time.perf_counter()
    split_document(text)
    assert time.perf_counter() - started < 1.0
