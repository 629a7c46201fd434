"""BERT's tokenizer for plain ASCII text, by look-ups in its vocabulary: the ids of the library ``tokenizers``.

Most prompts are such text. They take a fifth of the library's time, and a process that sees no other text does not load
the library's tokenizer: 30 ms and 17 MB.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_OTHER = re.compile(r"[^\t\n\r -~]")
"""Characters that are normalised by rules of Unicode, or left out."""
_WORD = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
SPLITTER = "BertPreTokenizer"
_NORMALIZER = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True}
"""What is asked of the normaliser; accents, which no plain text has, are free."""


class PlainWordPiece:
    """Reads plain text. Thread-safe.

    Args:
        vocabulary: Id by word, or by what follows in a word after the continuing prefix.
        unknown: Id of a word that the vocabulary cannot make.
        continuing: What stands before a piece that begins no word.
        longest: Characters of the longest word that is cut into pieces.
        special: Ids before and after a text.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        unknown: int,
        continuing: str,
        longest: int,
        special: tuple[list[int], list[int]],
    ) -> None:
        self._vocabulary, self._unknown = vocabulary, unknown
        self._continuing, self._longest = continuing, longest
        self.special = special

    @classmethod
    def of(cls, data: bytes) -> PlainWordPiece | None:
        """From the content of a ``tokenizer.json``; ``None`` for tokenizers of other kinds."""
        try:
            content = json.loads(data)
            model, normalizer = content["model"], dict(content["normalizer"])
            normalizer.pop("strip_accents", None)
            around = content["post_processor"]["single"]
            known = content["post_processor"]["special_tokens"]
            if (
                (model["type"], normalizer, content["pre_tokenizer"]) != ("WordPiece", _NORMALIZER, {"type": SPLITTER})
                or content["post_processor"]["type"] != "TemplateProcessing"
                or not all(token["special"] for token in content["added_tokens"])
            ):
                return None
            at = next(place for place, part in enumerate(around) if "Sequence" in part)
            before, after = (
                [number for part in parts for number in known[part["SpecialToken"]["id"]]["ids"]]
                for parts in (around[:at], around[at + 1 :])
            )
            unknown = model["vocab"][model["unk_token"]]
            prefix, longest = model["continuing_subword_prefix"], model["max_input_chars_per_word"]
        except (ValueError, KeyError, TypeError, StopIteration):
            return None
        return cls(model["vocab"], unknown, prefix, longest, (before, after))

    def ids(self, text: str) -> list[int] | None:
        """Token ids of ``text`` without special ones; ``None`` if it is not plain."""
        if _OTHER.search(text):
            return None
        found: list[int] = []
        vocabulary = self._vocabulary
        for word in _WORD.findall(text.lower()):
            whole = vocabulary.get(word)
            if whole is None or len(word) > self._longest:
                found += self._pieces(word)
            else:
                found.append(whole)
        return found

    def _pieces(self, word: str) -> list[int]:
        """The longest beginning that is known, then the longest of what is left, and so on."""
        if len(word) > self._longest:
            return [self._unknown]
        found: list[int] = []
        left = word
        while left:
            for end in range(len(left), 0, -1):
                piece: Any = self._vocabulary.get(left[:end] if not found else self._continuing + left[:end])
                if piece is not None:
                    break
            else:
                return [self._unknown]
            found.append(piece)
            left = left[end:]
        return found
