"""Plain text is tokenised by look-ups, with the ids of the library's tokenizer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from modelsat.network.instruction import InstructionTokenizer, PlainWordPiece
from modelsat.storage.checkpoint import locate

DATA = (locate("modelsat-nano") / "tokenizer.json").read_bytes()
PLAIN = PlainWordPiece.of(DATA)
LIBRARY = Tokenizer.from_buffer(DATA)
LIBRARY.encode_special_tokens = True
WORDS = [
    "unaffable",
    "it's",
    "[MASK]",
    "a" * 100,
    "a" * 101,
    "$x^2$",
    "GPT-4o",
    "0.5",
    "##ing",
    "qqqq\tzzzz",
    "\r\n",
    " ",
]


def by_library(text: str) -> list[int]:
    ids: list[int] = LIBRARY.encode(text, add_special_tokens=False).ids
    return ids


@given(st.one_of(st.text(st.characters(max_codepoint=0x7F)), st.lists(st.sampled_from(WORDS)).map(" ".join), st.text()))
def test_ids_are_those_of_the_library(text: str) -> None:
    assert PLAIN is not None
    ids = PLAIN.ids(text)
    plain = all(" " <= character <= "~" or character in "\t\n\r" for character in text)
    assert (ids is not None) == plain
    assert ids is None or ids == by_library(text)


def test_other_text_is_read_by_the_library() -> None:
    tokenizer = InstructionTokenizer(DATA, max_tokens=64, head_share=0.5)
    whole = InstructionTokenizer(Tokenizer.from_buffer(DATA), max_tokens=64, head_share=0.5)
    texts = ["Why is the sky blue?", "Naïve café, 漢字", "plain again", ""]
    assert tokenizer.ids(texts[:1]) == whole.ids(texts[:1])
    assert "raw" not in vars(tokenizer), "nothing was read that needs the library"
    assert tokenizer.ids(texts) == whole.ids(texts)


@pytest.mark.parametrize(
    "changed",
    [
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"normalizer": {"type": "Lowercase"}},
        {"normalizer": None},
        {"added_tokens": [{"id": 0, "content": "word", "special": False}]},
        {"post_processor": None},
    ],
)
def test_tokenizers_of_other_kinds_are_left_to_the_library(changed: dict[str, Any]) -> None:
    assert PlainWordPiece.of(json.dumps({**json.loads(DATA), **changed}).encode()) is None
    assert PlainWordPiece.of(b"no JSON") is None
