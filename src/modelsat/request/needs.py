"""What a request needs of a model: abilities, and room for its prompt and answer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelsat.candidates.facts import Ability
from modelsat.request.context import NO_CONTEXT, RequestContext
from modelsat.request.images import Picture, image_tokens
from modelsat.request.messages import Turn
from modelsat.request.tokens import (
    ATTACHMENT_TOKENS,
    GENERAL,
    TURN_TOKENS,
    as_json,
    count_features,
    data_tokens,
    family_of,
    tokens_of,
)

_BY_ATTACHMENT: Mapping[str, Ability] = {"image": "vision", "audio": "audio", "pdf": "pdf", "file": "pdf"}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request needs of a model.

    Attributes:
        abilities: Ability -> why it is needed.
        prompt_tokens: Estimated tokens of the whole conversation, with tools and attachments, for a model of which
            nothing is known.
        answer_tokens: What the request reserves for its answer; ``None`` if it names no limit.
        metadata: What residency rules look at.
        texts: All that a model reads as text, for a candidate's own tokenizer: messages, documents, tools, schemas.
        other_tokens: The part of ``prompt_tokens`` that is neither in ``texts`` nor in ``pictures``: framing, calls of
            tools, files that are not text.
        pictures: The images.
        families: Tokens of ``texts`` by family of tokenizers; ``None`` if nobody counted.
    """

    abilities: Mapping[Ability, str] = field(default_factory=dict)
    prompt_tokens: int = 0
    answer_tokens: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    other_tokens: int = 0
    pictures: tuple[Picture, ...] = ()
    families: Mapping[str, int] | None = field(default=None, repr=False, compare=False)
    _counted: dict[Any, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def tokens_for(self, tokenizer: Callable[[str], int] | None, model: str | None = None) -> int:
        """Prompt tokens of ``model``: as ``tokenizer`` counts the texts, or as estimated for its family without one.

        Args:
            tokenizer: Counts the tokens of a text.
            model: Name of the model; images cost what they do with it.
        """
        words = 0
        if tokenizer is None:
            if self.families is None or model is None:
                return self.prompt_tokens
            words = self.families[family_of(model)]
            if not self.pictures:
                return self.other_tokens + words
        key = (id(tokenizer), model)
        counted = self._counted.get(key)
        if counted is None:
            if tokenizer is not None:
                words = sum(tokenizer(text) for text in self.texts if text)
            images = sum(image_tokens(picture, model or "") for picture in self.pictures)
            counted = self._counted[key] = self.other_tokens + words + images
        return counted

    @property
    def most_tokens(self) -> int:
        """Prompt tokens of the model that needs most of them."""
        if self.families is None:
            return self.prompt_tokens
        return self.other_tokens + max(self.families.values()) + 6_000 * len(self.pictures)


def find_needs(turns: Sequence[Turn], context: RequestContext = NO_CONTEXT) -> Needs:
    """Read the needs of a request off its turns and its context."""
    abilities: dict[Ability, str] = {}
    texts: list[str] = []
    pictures: list[Picture] = []
    other = calls = 0
    for turn in turns:
        texts.append(turn.text)
        texts += (*turn.documents, *turn.background)
        pictures += turn.pictures
        other += TURN_TOKENS
        calls += turn.unscored_characters
        if turn.uses_tools:
            abilities.setdefault("tools", "the conversation holds tool calls")
        if turn.attachments:
            other += _attached(turn, abilities)
    if context is not NO_CONTEXT:
        texts += _asked(context, abilities)
    families = {family: math.ceil(tokens) for family, tokens in tokens_of(count_features("\n".join(texts))).items()}
    other += math.ceil(data_tokens(calls, GENERAL))
    seen = sum(image_tokens(picture, "") for picture in pictures)
    return Needs(
        abilities,
        other + seen + families[GENERAL],
        context.answer_tokens,
        context.metadata,
        tuple(texts),
        other,
        tuple(pictures),
        families,
    )


def _attached(turn: Turn, abilities: dict[Ability, str]) -> int:
    """Add what the attachments of ``turn`` need to ``abilities``; the tokens of those that were not read."""
    tokens = 0
    for kind, count in (Counter(turn.attachments) - Counter(turn.read)).items():
        sized = len(turn.pictures) if kind == "image" else 0
        tokens += (count - sized) * ATTACHMENT_TOKENS.get(kind, ATTACHMENT_TOKENS["file"])
        if (ability := _BY_ATTACHMENT.get(kind)) is not None:
            article = "an" if kind[0] in "aeiou" else "a"
            abilities.setdefault(ability, f"the conversation holds {article} {kind} part")
    return tokens


def _asked(context: RequestContext, abilities: dict[Ability, str]) -> list[str]:
    """Add what the context asks for to ``abilities``; its definitions as JSON."""
    definitions: list[str] = []
    if context.tools:
        count = len(context.tools)
        abilities["tools"] = f"{count} tool{'s' if count > 1 else ''} passed"
        definitions.append(as_json(context.tools))
    if context.parallel_tools:
        abilities["parallel_tools"] = "parallel tool calls asked for"
    response = context.response_format
    if response is not None and not (isinstance(response, Mapping) and response.get("type") == "text"):
        abilities["json_schema"] = "a response schema is asked for"
        definitions.append(as_json(response))
    if context.reasoning:
        abilities["reasoning"] = "reasoning asked for"
    for ability in context.needs:
        abilities.setdefault(ability, "asked for")
    return definitions
