"""The words in which questions are asked, the same for every model: one user message, no examples, no system prompt."""

from __future__ import annotations

from modelsat.lab.aptitude.questions import LETTERS, Question

VERSION = 1
"""Raised whenever the words change: answers to other words are not mixed."""

_CHOICE = (
    "Answer the multiple-choice question below. If it needs working out, work it out first, as briefly as you can. "
    "End with a line that holds your answer alone, in the form\n\nAnswer: (X)\n\nwhere X is the letter of the best "
    "option."
)
_OPEN = "Answer the question below. End with a line that holds your answer alone, in the form\n\nAnswer: ..."

Message = dict[str, str]


def messages(question: Question) -> list[Message]:
    """The conversation that asks ``question``."""
    parts = [question.instruction or (_CHOICE if question.options else _OPEN), f"Question:\n{question.text}"]
    if question.options:
        options = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, question.options, strict=False))
        parts.append(f"Options:\n{options}")
    return [{"role": "user", "content": "\n\n".join(parts)}]
