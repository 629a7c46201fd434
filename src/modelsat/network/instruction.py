"""The instruction side of the capability instruction: text to token ids, head and tail kept. Needs no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelsat._logging import shown
from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUDGETS = ("max_instruction_tokens", "max_description_tokens")
PSI_TOKENIZER = "psi_tokenizer.json"
"""File of a checkpoint: the tokenizer of a psi with an encoder of its own."""
_CHARACTERS_PER_TOKEN = 16
"""A generous bound, so that a megabyte of text is cut before it is tokenised, not after."""
_USUAL_CHARACTERS = 7
"""Characters that mostly hold a token; where they do not, the text is tokenised up to the bound above."""
_OTHER = re.compile(r"[^\t\n\r -~]")
"""Characters that are normalised by rules of Unicode, or left out."""
_WORD = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
SPLITTER = "BertPreTokenizer"
_NORMALIZER = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True}
"""What is asked of the normaliser; accents, which no plain text has, are free."""


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Token ids, right-padded.

    Attributes:
        input_ids: Shape (batch, length), int64.
        attention_mask: Shape (batch, length), int64; 1 where a token stands.
    """

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PlainWordPiece:
    """BERT's tokenizer for plain ASCII text, by look-ups in its vocabulary: the ids of the library ``tokenizers``.

    Most prompts are such text. They take a fifth of the library's time, and a process that sees no other text does not
    load the library's tokenizer: 30 ms and 17 MB. Thread-safe.

    Attributes:
        vocabulary: Id by word, or by what follows in a word after the continuing prefix.
        unknown: Id of a word that the vocabulary cannot make.
        continuing: What stands before a piece that begins no word.
        longest: Characters of the longest word that is cut into pieces.
        special: Ids before and after a text.
    """

    vocabulary: Mapping[str, int]
    unknown: int
    continuing: str
    longest: int
    special: tuple[list[int], list[int]]

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
        vocabulary, longest = self.vocabulary, self.longest
        for word in _WORD.findall(text.lower()):
            whole = vocabulary.get(word)
            if whole is None or len(word) > longest:
                found += self._pieces(word)
            else:
                found.append(whole)
        return found

    def _pieces(self, word: str) -> list[int]:
        """The longest beginning that is known, then the longest of what is left, and so on."""
        if len(word) > self.longest:
            return [self.unknown]
        found: list[int] = []
        while word:
            for end in range(len(word), 0, -1):
                piece = self.vocabulary.get(self.continuing + word[:end] if found else word[:end])
                if piece is not None:
                    break
            else:
                return [self.unknown]
            found.append(piece)
            word = word[end:]
        return found


class InstructionTokenizer:
    """Tokenises instructions within a budget, keeping the head and the tail of long ones.

    The question often stands last in a long prompt and the task first, so neither end is ever dropped.

    Args:
        tokenizer: A fast tokenizer, or the content of its ``tokenizer.json``, which is loaded when a text needs it; its
            own post-processor adds special tokens.
        max_tokens: Budget per instruction, special tokens included.
        head_share: Share of the budget that goes to the head of a long instruction.
        pad_id: Token id used for padding.
        lead: Text put before every text.
        descriptions: Tokenises task descriptions, for a psi with an encoder of its own; this one does if not given.

    Raises:
        ConfigurationError: The budget leaves no room for text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | bytes,
        max_tokens: int,
        head_share: float,
        pad_id: int = 0,
        *,
        lead: str = "",
        descriptions: InstructionTokenizer | None = None,
    ) -> None:
        self._given, self._pad_id = tokenizer, pad_id
        self._plain = PlainWordPiece.of(tokenizer) if isinstance(tokenizer, bytes) else None
        self._lead = lead
        self.descriptions = descriptions or self
        if self._plain is not None:
            self._prefix, self._suffix = self._plain.special
        else:
            special = self.raw.encode("").ids
            half = (len(special) + 1) // 2
            self._prefix, self._suffix = special[:half], special[half:]
        self._budget = max_tokens - len(self._prefix) - len(self._suffix)
        if self._budget < 1:
            raise ConfigurationError(f"{max_tokens} tokens leave no room for an instruction: take 16 or more")
        self._head = round(self._budget * head_share)
        self._tail = self._budget - self._head
        # Such a tokenizer never looks past white space, so the tokens of a part are those of the whole there.
        self._by_words = self._plain is not None or type(self.raw.pre_tokenizer).__name__ == SPLITTER

    @cached_property
    def raw(self) -> Tokenizer:
        """The tokenizer underneath."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_buffer(self._given) if isinstance(self._given, bytes) else self._given
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True  # "[MASK]" in a user's text is text
        return tokenizer

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, at most ``max_tokens`` each."""
        limit = self._budget * _CHARACTERS_PER_TOKEN
        led = [self._lead + text for text in texts] if self._lead else texts
        found = [self._ends(text) for text in led]
        whole = [text for text, ids in zip(led, found, strict=True) if ids is None]
        short = [text if len(text) <= 2 * limit else f"{text[:limit]} {text[-limit:]}" for text in whole]
        read = iter(self._encode(short))
        return [[*self._prefix, *self._cut(next(read) if ids is None else ids), *self._suffix] for ids in found]

    def _encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids without special ones."""
        found = [None if self._plain is None else self._plain.ids(text) for text in texts]
        others = [text for text, ids in zip(texts, found, strict=True) if ids is None]
        read = iter(self.raw.encode_batch_fast(others, add_special_tokens=False) if others else ())
        return [next(read).ids if ids is None else ids for ids in found]

    def _ends(self, text: str) -> list[int] | None:
        """Token ids of so much of a long text's head and tail as is kept; ``None`` where all has to be read."""
        first, last = self._head * _USUAL_CHARACTERS, self._tail * _USUAL_CHARACTERS
        if not self._by_words or len(text) <= 2 * (first + last):
            return None
        end, begin = text.rfind(" ", 0, first), text.find(" ", len(text) - last)
        if end < 0 or begin < 0:
            return None
        (before,), (after,) = self._encode([text[:end]]), self._encode([text[begin:]])
        if len(before) < self._head or len(after) < self._tail:
            return None
        return before[: self._head] + after[len(after) - self._tail :]

    def __call__(self, texts: Sequence[str]) -> TokenBatch:
        """Tokenise ``texts`` into one padded batch."""
        return pad(self.ids(texts), self._pad_id)

    def _cut(self, ids: list[int]) -> list[int]:
        if len(ids) <= self._budget:
            return ids
        return ids[: self._head] + ids[len(ids) - self._tail :]


def tokenizer_of(
    config: Mapping[str, Any], phi: Tokenizer | bytes, psi: Tokenizer | bytes | None = None
) -> InstructionTokenizer:
    """The tokenizer of a network: for instructions, and for task descriptions.

    Args:
        config: The network's configuration, as its ``config.json`` has it.
        phi: Phi's tokenizer, or the content of its file.
        psi: That of psi's own encoder; ``None`` if psi shares phi's.
    """
    descriptions = None
    for name in BUDGETS if psi is not None else BUDGETS[:1]:
        check_budget(name, config.get(name))
    if psi is not None:
        descriptions = InstructionTokenizer(
            psi,
            int(config["max_description_tokens"]),
            1.0,
            int(config["psi_config"].get("pad_token_id") or 0),
            lead=str(config["description_prefix"]),
        )
    return InstructionTokenizer(
        phi,
        int(config["max_instruction_tokens"]),
        float(config["head_share"]),
        int(config["phi_config"].get("pad_token_id") or 0),
        descriptions=descriptions,
    )


def check_budget(name: str, tokens: Any) -> None:
    """Refuse a budget that is not a whole number of tokens of 1 or more."""
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        raise ConfigurationError(f"{name} must be a whole number of tokens of 1 or more, not {shown(tokens)}")


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> TokenBatch:
    """Right-pad rows of token ids to the longest."""
    length = max(map(len, rows))
    input_ids = np.full((len(rows), length), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(rows), length), dtype=np.int64)
    for index, row in enumerate(rows):
        input_ids[index, : len(row)] = row
        attention_mask[index, : len(row)] = 1
    return TokenBatch(input_ids, attention_mask)
