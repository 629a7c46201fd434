"""The instruction side of the capability instruction: text to token ids, head and tail kept. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelsat.errors import ConfigurationError
from modelsat.network.wordpiece import SPLITTER, PlainWordPiece

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PSI_TOKENIZER = "psi_tokenizer.json"
"""File of a checkpoint: the tokenizer of a psi with an encoder of its own."""
_CHARACTERS_PER_TOKEN = 16
"""A generous bound, so that a megabyte of text is cut before it is tokenised, not after."""
_USUAL_CHARACTERS = 7
"""Characters that mostly hold a token; where they do not, the text is tokenised up to the bound above."""


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Token ids, right-padded.

    Attributes:
        input_ids: Shape (batch, length), int64.
        attention_mask: Shape (batch, length), int64; 1 where a token stands.
    """

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]


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
        self._given = tokenizer
        self._plain = PlainWordPiece.of(tokenizer) if isinstance(tokenizer, bytes) else None
        self._lead, self._descriptions = lead, descriptions
        if self._plain is not None:
            self._prefix, self._suffix = self._plain.special
        else:
            special = self.raw.encode("").ids
            self._prefix, self._suffix = special[: (len(special) + 1) // 2], special[(len(special) + 1) // 2 :]
        self._budget = max_tokens - len(self._prefix) - len(self._suffix)
        if self._budget < 1:
            raise ConfigurationError(f"{max_tokens} tokens leave no room for an instruction: take 16 or more")
        self._head = round(self._budget * head_share)
        self._pad_id = pad_id
        # Such a tokenizer never looks past white space, so the tokens of a part are those of the whole there.
        self._by_words = self._plain is not None or type(self.raw.pre_tokenizer).__name__ == SPLITTER

    @classmethod
    def from_file(
        cls, path: str | Path, *, max_tokens: int, head_share: float, pad_id: int = 0
    ) -> InstructionTokenizer:
        """Load ``tokenizer.json``."""
        return cls(Path(path).read_bytes(), max_tokens, head_share, pad_id)

    @cached_property
    def raw(self) -> Tokenizer:
        """The tokenizer underneath."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_buffer(self._given) if isinstance(self._given, bytes) else self._given
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True  # "[MASK]" in a user's text is text
        return tokenizer

    @property
    def descriptions(self) -> InstructionTokenizer:
        """What tokenises task descriptions for psi."""
        return self if self._descriptions is None else self._descriptions

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
        tail = self._budget - self._head
        first, last = self._head * _USUAL_CHARACTERS, tail * _USUAL_CHARACTERS
        if not self._by_words or len(text) <= 2 * (first + last):
            return None
        end, begin = text.rfind(" ", 0, first), text.find(" ", len(text) - last)
        if end < 0 or begin < 0:
            return None
        (before,), (after,) = self._encode([text[:end]]), self._encode([text[begin:]])
        if len(before) < self._head or len(after) < tail:
            return None
        return before[: self._head] + after[len(after) - tail :]

    def __call__(self, texts: Sequence[str]) -> TokenBatch:
        """Tokenise ``texts`` into one padded batch."""
        return pad(self.ids(texts), self._pad_id)

    def _cut(self, ids: list[int]) -> list[int]:
        if len(ids) <= self._budget:
            return ids
        tail = self._budget - self._head
        return ids[: self._head] + (ids[-tail:] if tail else [])


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


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> TokenBatch:
    """Right-pad rows of token ids to the longest."""
    length = max(map(len, rows))
    input_ids = np.full((len(rows), length), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(rows), length), dtype=np.int64)
    for index, row in enumerate(rows):
        input_ids[index, : len(row)] = row
        attention_mask[index, : len(row)] = 1
    return TokenBatch(input_ids, attention_mask)
