"""Hard constraints: which candidates may answer a request at all, before anything is weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, field_validator, model_validator
from typing_extensions import Self

from modelsat._logging import shown
from modelsat.errors import ConfigurationError
from modelsat.request.exclusion import Exclusion
from modelsat.validation import Settings, number

if TYPE_CHECKING:
    from modelsat.candidates.candidate import Candidate
    from modelsat.request.needs import Needs

ANSWER_TOKENS = 1024
"""Reserved for the answer where neither the request nor the constraints say otherwise."""
MOST_TOKENS = 1_000_000_000
"""More tokens than any model reads or writes."""
SMALL_REQUEST = 8_192
"""Tokens of prompt and answer that a model of unknown context window is trusted with."""

_LISTS = ("models", "providers", "regions")


def _names(value: Any, info: Any) -> frozenset[str]:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, Mapping) or not isinstance(value, (list, tuple, set, frozenset)):
        raise ConfigurationError(f"{info.field_name} must be a list of names, not {shown(value)}")
    if bad := [entry for entry in value if not isinstance(entry, str) or not entry.strip()]:
        raise ConfigurationError(f"{info.field_name} must hold names, not {shown(bad[0])}")
    return frozenset(entry.strip().casefold() for entry in value)


Names = Annotated[frozenset[str], BeforeValidator(_names)]


class ResidencyRule(Settings):
    """Requests whose metadata say ``key: value`` stay in ``regions``.

    Attributes:
        key: Key of the request's metadata, e.g. ``"tenant"``.
        value: The value it applies to; ``"*"`` for every value.
        regions: Regions that may answer; a candidate of unknown region may not.
    """

    label: ClassVar[str] = "residency rule"

    key: str
    value: str = "*"
    regions: Names

    @field_validator("value", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, (int, float)) else value

    @field_validator("regions")
    @classmethod
    def _are_given(cls, value: frozenset[str]) -> frozenset[str]:
        if not value:
            raise ConfigurationError("regions is empty: name the regions that may answer, e.g. ['eu']")
        return value

    def applies(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a request with ``metadata`` is bound by this rule."""
        return self.key in metadata and self.value in ("*", str(metadata[self.key]))


class Constraints(Settings):
    """What no policy may overrule. Names are compared without regard to case; empty allows everything.

    Allow lists, residency rules and a maximum price demand knowledge: a candidate whose provider, region or price is
    unknown does not pass them. Deny lists strike what is known.

    Attributes:
        allow_models: Candidates (by name or by model) that may answer; patterns such as ``"gpt-*"`` are understood.
        deny_models: Candidates that may not.
        allow_providers: Providers that may serve the answer.
        deny_providers: Providers that may not.
        allow_regions: Regions that may serve it.
        deny_regions: Regions that may not.
        require_tags: Tags that a candidate must carry, all of them.
        deny_tags: Tags that it must not carry, none of them.
        max_usd_per_request: Most that the request may cost, in USD; held to the prompt and a visible answer of usual
            length, see :attr:`modelsat.request.costs.Cost.least`.
        answer_tokens: Reserved in the context window when the request names no limit.
        residency: Rules on where requests with certain metadata may be answered.
    """

    label: ClassVar[str] = "constraints"

    allow_models: Names = frozenset()
    deny_models: Names = frozenset()
    allow_providers: Names = frozenset()
    deny_providers: Names = frozenset()
    allow_regions: Names = frozenset()
    deny_regions: Names = frozenset()
    require_tags: Names = frozenset()
    deny_tags: Names = frozenset()
    max_usd_per_request: float | None = None
    answer_tokens: int = ANSWER_TOKENS
    residency: tuple[ResidencyRule, ...] = ()

    @field_validator("max_usd_per_request", mode="before")
    @classmethod
    def _is_an_amount(cls, value: Any) -> float | None:
        return None if value is None else number(value, "max_usd_per_request", unit="USD", example=0.05)

    @field_validator("answer_tokens", mode="before")
    @classmethod
    def _is_a_reserve(cls, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
            raise ConfigurationError(
                f"answer_tokens is a whole number of tokens from 0 to {MOST_TOKENS:,}, not {shown(value)}"
            )
        return value

    @model_validator(mode="after")
    def _do_not_contradict(self) -> Self:
        for what in _LISTS:
            allowed, denied = getattr(self, f"allow_{what}"), getattr(self, f"deny_{what}")
            if both := sorted(allowed & denied):
                raise ConfigurationError(
                    f"contradictory constraints: {what} both allowed and denied: {', '.join(both)}"
                )
        if both := sorted(self.require_tags & self.deny_tags):
            raise ConfigurationError(f"contradictory constraints: tags both required and denied: {', '.join(both)}")
        for rule in self.residency:
            left = (rule.regions & self.allow_regions if self.allow_regions else rule.regions) - self.deny_regions
            if not left:
                raise ConfigurationError(
                    f"contradictory constraints: requests with {rule.key}={rule.value} must stay in "
                    f"{', '.join(sorted(rule.regions))}, which the allowed or denied regions rule out"
                )
            for other in self.residency:
                if (rule.key, rule.value) == (other.key, other.value) and not rule.regions & other.regions:
                    raise ConfigurationError(
                        f"contradictory constraints: two residency rules for {rule.key}={rule.value} share no region"
                    )
        return self


def strike(
    candidates: Sequence[Candidate],
    needs: Needs,
    constraints: Constraints | Sequence[Constraints],
    costs: Mapping[str, float] | None = None,
) -> dict[str, Exclusion]:
    """The candidates that may not answer, with the reason for each.

    An ability that is unknown, or an unknown context window for a request of more than :data:`SMALL_REQUEST` tokens,
    strikes only while a candidate is left that surely can. The limit on the answer that the request names strikes only
    while a candidate is left that allows it: coding agents ask every model for what the largest allows.

    Args:
        candidates: Who could answer.
        needs: What the request needs.
        constraints: What is allowed; of several, all hold; the last one that sets ``answer_tokens``
            reserves.
        costs: What a maximum price is held to, in USD (:attr:`~modelsat.request.costs.Cost.least`), by name, of every
            candidate with a price.
    """
    rules = (constraints,) if isinstance(constraints, Constraints) else constraints
    binding = [rule for rule in rules if rule.model_fields_set - {"answer_tokens"}]
    reserve = next((r.answer_tokens for r in reversed(rules) if "answer_tokens" in r.model_fields_set), ANSWER_TOKENS)
    excluded: dict[str, Exclusion] = {}
    doubts: dict[str, Exclusion] = {}
    sure: list[str] = []
    for candidate in candidates:
        exclusion = next(filter(None, (_forbidden(candidate, needs, rule, costs or {}) for rule in binding)), None)
        if exclusion is None:
            exclusion = unable(candidate, needs, reserve)
        if exclusion is not None:
            excluded[candidate.name] = exclusion
        elif doubt := _doubtful(candidate, needs, reserve):
            doubts[candidate.name] = doubt
        else:
            sure.append(candidate.name)
    if sure:
        excluded.update(
            {name: replace(doubt, reason=f"{doubt}, while {min(sure)} surely can") for name, doubt in doubts.items()}
        )
    if needs.answer_tokens and len(excluded) == len(candidates):
        shorter = strike(candidates, replace(needs, answer_tokens=None), constraints, costs)
        return shorter if len(shorter) < len(excluded) else excluded
    return excluded


def _forbidden(candidate: Candidate, needs: Needs, rule: Constraints, costs: Mapping[str, float]) -> Exclusion | None:
    """Why ``rule`` rules ``candidate`` out; ``None`` if it does not."""
    facts = candidate.facts
    own = (candidate.name, candidate.profile.model)
    if rule.deny_models and _matches(rule.deny_models, *own):
        return Exclusion("model", "model is denied")
    if rule.allow_models and not _matches(rule.allow_models, *own):
        return Exclusion("model", "model is not among the allowed")
    found = (
        _place("provider", facts.provider, rule.allow_providers, rule.deny_providers)
        or _place("region", facts.region, rule.allow_regions, rule.deny_regions)
        or _tags(facts.tags, rule.require_tags, rule.deny_tags)
    )
    if found is not None:
        return found
    for residency in rule.residency:
        if residency.applies(needs.metadata) and (facts.region or "").casefold() not in residency.regions:
            where = f"requests with {residency.key}={residency.value} stay in {', '.join(sorted(residency.regions))}"
            return Exclusion("residency", f"{where}, and its region is {facts.region or 'unknown'}")
    limit = rule.max_usd_per_request
    return None if limit is None else _price(costs.get(candidate.name), limit)


@lru_cache(maxsize=4_096)
def _matches(names: Names, *own: str) -> bool:
    plain = [name.casefold() for name in own]
    return any(name in names for name in plain) or any(
        fnmatchcase(name, pattern) for pattern in names if any(mark in pattern for mark in "*?[") for name in plain
    )


def _place(what: Literal["provider", "region"], value: str | None, allowed: Names, denied: Names) -> Exclusion | None:
    if value is None:
        return Exclusion(what, f"{what} is unknown, and only some are allowed") if allowed else None
    if value.casefold() in denied:
        return Exclusion(what, f"{what} {value} is denied")
    if allowed and value.casefold() not in allowed:
        return Exclusion(what, f"{what} {value} is not among the allowed")
    return None


def _tags(tags: Names, required: Names, denied: Names) -> Exclusion | None:
    own = {tag.casefold() for tag in tags}
    if missing := required - own:
        return Exclusion("tag", f"lacks the tag {', '.join(sorted(missing))}")
    if carried := denied & own:
        return Exclusion("tag", f"carries the denied tag {', '.join(sorted(carried))}")
    return None


def _price(cost: float | None, limit: float) -> Exclusion | None:
    if cost is None:
        return Exclusion("price", f"price is unknown, and a request may cost at most {limit:g} USD")
    if cost > limit:
        return Exclusion("price", f"costs {cost:.2g} USD for the prompt and a visible answer, more than {limit:g}")
    return None


def unable(candidate: Candidate, needs: Needs, reserve: int = ANSWER_TOKENS) -> Exclusion | None:
    """Why ``candidate`` surely cannot serve ``needs``; ``None`` if it may be able to."""
    facts = candidate.facts
    for ability, why in needs.abilities.items():
        if facts.abilities.get(ability) is False:
            return Exclusion("ability", f"cannot do {ability} ({why})")
    window, asked = facts.window, needs.answer_tokens
    if window is not None:
        answer = asked or min(reserve, facts.max_output_tokens or reserve)
        prompt = needs.tokens_for(candidate.tokenizer, candidate.profile.model)
        if facts.max_input_tokens is not None and prompt > facts.max_input_tokens:
            return Exclusion(
                "context_window", f"prompts have at most {facts.max_input_tokens:,} tokens, this one has ~{prompt:,}"
            )
        if prompt + answer > window:
            return Exclusion(
                "context_window",
                f"context window of {window:,} tokens: prompt ~{prompt:,} and answer {answer:,} do not fit",
            )
    if asked and facts.max_output_tokens and asked > facts.max_output_tokens:
        return Exclusion(
            "answer_limit", f"answers have at most {facts.max_output_tokens:,} tokens, {asked:,} are asked for"
        )
    return None


def _doubtful(candidate: Candidate, needs: Needs, reserve: int = ANSWER_TOKENS) -> Exclusion | None:
    """What is not known of ``candidate`` and would have to be to be sure; ``None`` if nothing is missing."""
    facts = candidate.facts
    for ability in needs.abilities:
        if ability not in facts.abilities:
            return Exclusion("ability", f"not known to do {ability}")
    total = needs.prompt_tokens + (needs.answer_tokens or reserve)
    if facts.window is None and total > SMALL_REQUEST:
        return Exclusion("context_window", f"context window unknown for a request of ~{total:,} tokens")
    return None
