"""What a request needs of a model: abilities, and room for its prompt and answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelsat.candidates.facts import Ability
from modelsat.request.context import NO_CONTEXT, RequestContext
from modelsat.request.messages import Turn
from modelsat.request.tokens import ATTACHMENT_TOKENS, DATA_CHARACTERS_PER_TOKEN, TURN_TOKENS, estimate_tokens, size_of

_BY_ATTACHMENT: Mapping[str, Ability] = {"image": "vision", "audio": "audio", "pdf": "pdf", "file": "pdf"}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request needs.

    Attributes:
        abilities: Ability -> why it is needed.
        prompt_tokens: Estimated tokens of the whole conversation, with tools and attachments.
        answer_tokens: What the request reserves for its answer; ``None`` if it names no limit.
        metadata: What residency rules look at.
        texts: The texts of the conversation, for a candidate's own tokenizer.
        other_tokens: The part of ``prompt_tokens`` that is not in ``texts``: attachments, tools, framing.
        images: Images in the conversation.
    """

    abilities: Mapping[Ability, str] = field(default_factory=dict)
    prompt_tokens: int = 0
    answer_tokens: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    other_tokens: int = 0
    images: int = 0
    _counted: dict[int, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def tokens_for(self, tokenizer: Callable[[str], int] | None) -> int:
        """Prompt tokens as ``tokenizer`` counts the texts, or as estimated without one."""
        if tokenizer is None:
            return self.prompt_tokens
        counted = self._counted.get(id(tokenizer))
        if counted is None:
            counted = self.other_tokens + sum(tokenizer(text) for text in self.texts if text)
            self._counted[id(tokenizer)] = counted
        return counted


def find_needs(turns: Sequence[Turn], context: RequestContext = NO_CONTEXT) -> Needs:
    """Read the needs of a request off its turns and its context."""
    abilities: dict[Ability, str] = {}
    counted = 0
    other = 0
    for turn in turns:
        counted += estimate_tokens(turn.text)
        other += TURN_TOKENS + turn.unscored_characters // DATA_CHARACTERS_PER_TOKEN
        if turn.uses_tools:
            abilities.setdefault("tools", "the conversation holds tool calls")
        for kind in turn.attachments:
            other += ATTACHMENT_TOKENS.get(kind, ATTACHMENT_TOKENS["file"])
            if (ability := _BY_ATTACHMENT.get(kind)) is not None:
                abilities.setdefault(ability, f"the conversation holds {_article(kind)} {kind} part")
    if context is not NO_CONTEXT:
        other += _asked(context, abilities)
    return Needs(
        abilities,
        counted + other,
        context.answer_tokens,
        context.metadata,
        tuple([turn.text for turn in turns]),
        other,
        sum(turn.attachments.count("image") for turn in turns),
    )


def _asked(context: RequestContext, abilities: dict[Ability, str]) -> int:
    """Add what the context asks for to ``abilities``; the tokens its definitions take."""
    tokens = 0
    if context.tools:
        count = len(context.tools)
        abilities["tools"] = f"{count} tool{'s' if count > 1 else ''} passed"
        tokens += size_of(context.tools) // DATA_CHARACTERS_PER_TOKEN
    if context.parallel_tools:
        abilities["parallel_tools"] = "parallel tool calls asked for"
    if context.response_format is not None and not _is_text(context.response_format):
        abilities["json_schema"] = "a response schema is asked for"
        tokens += size_of(context.response_format) // DATA_CHARACTERS_PER_TOKEN
    if context.reasoning:
        abilities["reasoning"] = "reasoning asked for"
    for ability in context.needs:
        abilities.setdefault(ability, "asked for")
    return tokens


def _is_text(response_format: Any) -> bool:
    return isinstance(response_format, Mapping) and response_format.get("type") == "text"


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"
