"""Idle text around a request is not scored."""

from __future__ import annotations

import pytest

from modelsat.request import extract_instruction
from modelsat.request.wording import LONGEST_WITH_FILLER, without_filler

QUESTION = "Prove that the sum is even."


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Sure. " * 20 + f"\n{QUESTION}", f"Sure. \n{QUESTION}"),
        (f"{QUESTION}\nOui oui oui oui oui", f"{QUESTION}\nOui"),
        (f"<|im_start|>{QUESTION}<|endoftext|>", f" {QUESTION} "),
        (f"[INST]{QUESTION}[/INST]", f" {QUESTION} "),
        ("ha ha ha ha", "ha"),
        (f"{QUESTION} !!!!!! ????", f"{QUESTION} ! ?"),
    ],
)
def test_repeated_words_and_control_tokens_are_left_out(text: str, kept: str) -> None:
    assert without_filler(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        QUESTION,
        "Is it very, very, very far?",
        "0 0 0 0 0\n1 1 1 1 1",  # a grid
        "- - - - -",
        "def f(a):\n    return  a[0] | b",
        "x = a[1]; y = [CLASS]",
        "What!!! Really??",
        "[MASK] [MASK]",  # nothing else
        "word " * LONGEST_WITH_FILLER,
        "",
    ],
)
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert without_filler(text) == text


def test_the_text_to_score_is_without_filler() -> None:
    assert extract_instruction("Yes " * 20 + QUESTION)[0] == f"Yes {QUESTION}"
