"""Rules beside the network: what a request is, then who may answer it; a short list, in order, before the scores.

A rule only ever takes candidates away, so that it cannot overrule a constraint. One that would leave nobody is passed
over, unless it adds a constraint: that holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator
from typing_extensions import Self

from modelsat._files import read_yaml
from modelsat.capability.efforts import EFFORTS
from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.request.constraints import Constraints
from modelsat.request.exclusion import Exclusion
from modelsat.request.wording import LANGUAGES, is_courtesy, language_of
from modelsat.validation import Settings

if TYPE_CHECKING:
    from modelsat.candidates.candidate import Candidate
    from modelsat.request.messages import Turn
    from modelsat.request.needs import Needs

__all__ = ["RoutingRule"]

PATTERN_S = 0.01
"""Seconds that a pattern may take for one request. One that takes longer counts as found: in doubt a rule holds."""
MOST_RULES = 200
_LONGEST_PATTERN = 1_000
_LONGEST_TEXT = 100_000
_CODE = ("```", "Traceback (most recent call last)", "\tat ", "#include <", "def ", "function ", "SELECT ", "</")

Kind = Literal["audio", "code", "document", "image", "reasoning", "schema", "small_talk", "tools"]
_BY_ABILITY: Mapping[str, str] = {
    "audio": "audio",
    "image": "vision",
    "reasoning": "reasoning",
    "schema": "json_schema",
    "tools": "tools",
}


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Several = Annotated[tuple[str, ...], BeforeValidator(_several)]


class When(Settings):
    """What a rule applies to: everything that is given must be true of the request.

    Attributes:
        keyword: One of these words stands in what the user said, in any case.
        regex: This pattern is found in it (the syntax of the package ``regex``, which is needed for it).
        language: The last thing the user said is in one of these languages (:data:`.wording.LANGUAGES`).
        kind: The request is one of these: it brings ``audio``, ``code``, a ``document`` or an ``image``, asks for
            ``reasoning`` or an answer by a ``schema``, brings ``tools``, or is ``small_talk``.
        tools: Whether tools are passed or used.
        tokens_over: The prompt is estimated at more tokens than that.
        tokens_under: At fewer.
        metadata: The request's metadata have these values, each one or one of a list.
        group: The metadata name one of these groups.
    """

    label: ClassVar[str] = "when"

    keyword: Several = ()
    regex: str | None = Field(default=None, max_length=_LONGEST_PATTERN)
    language: Several = ()
    kind: Annotated[tuple[Kind, ...], BeforeValidator(_several)] = ()
    tools: bool | None = None
    tokens_over: int | None = Field(default=None, ge=0)
    tokens_under: int | None = Field(default=None, ge=1)
    metadata: Mapping[str, str | int | bool | tuple[str | int | bool, ...]] = Field(default_factory=dict)
    group: Several = ()
    _pattern: Any = PrivateAttr(default=None)
    _words: Any = PrivateAttr(default=None)

    @field_validator("language")
    @classmethod
    def _is_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if strangers := [name for name in value if name not in LANGUAGES]:
            raise ConfigurationError(f"language {strangers[0]!r} is not recognised; known: {', '.join(LANGUAGES)}")
        return value

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.tokens_over is not None and self.tokens_under is not None and self.tokens_over >= self.tokens_under - 1:
            raise ConfigurationError("no request has more than tokens_over and fewer than tokens_under tokens")
        if self.regex is not None:
            self._pattern = _compiled(self.regex)
        if self.keyword:
            if not all(word.strip() for word in self.keyword):
                raise ConfigurationError("a keyword is blank")
            words = "|".join(re.escape(word.strip()) for word in self.keyword)
            self._words = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
        return self

    def holds(self, told: Told) -> bool:
        """Whether it is true of a request; what is quickest to tell comes first."""
        tokens = told.needs.prompt_tokens
        return (
            (self.tools is None or self.tools is ("tools" in told.needs.abilities))
            and (self.tokens_over is None or tokens > self.tokens_over)
            and (self.tokens_under is None or tokens < self.tokens_under)
            and self._says(told)
            and (not self.kind or any(told.is_a(kind) for kind in self.kind))
            and (not self.language or told.language in self.language)
            and (self._words is None or self._words.search(told.text) is not None)
            and (self._pattern is None or self._is_found(told))
        )

    def _says(self, told: Told) -> bool:
        said = told.needs.metadata
        if self.group and str(said.get("group", "")) not in self.group:
            return False
        return all(
            key in said and str(said[key]) in map(str, value if isinstance(value, tuple) else (value,))
            for key, value in self.metadata.items()
        )

    def _is_found(self, told: Told) -> bool:
        try:
            return self._pattern.search(told.text, timeout=PATTERN_S) is not None
        except TimeoutError:
            told.late.append(str(self.regex))
            return True


class Then(Settings):
    """What a rule does; at least one thing.

    Attributes:
        use: Only these candidates answer, by name (with or without a provider before it) or by model; patterns such as
            ``"gpt-*"`` are understood.
        exclude: These do not.
        least_effort: Candidates that are asked for less reasoning effort do not.
        constraints: Hold for the request besides all others.
    """

    label: ClassVar[str] = "then"

    use: Several = ()
    exclude: Several = ()
    least_effort: str | None = None
    constraints: Constraints | None = None

    @field_validator("least_effort")
    @classmethod
    def _is_an_effort(cls, value: str | None) -> str | None:
        if value is not None and value not in EFFORTS:
            raise ConfigurationError(f"least_effort must be one of {', '.join(EFFORTS)}, not {value!r}")
        return value

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.use or self.exclude or self.least_effort or self.constraints):
            raise ConfigurationError("then is empty: give use, exclude, least_effort or constraints")
        if both := sorted(set(self.use) & set(self.exclude)):
            raise ConfigurationError(f"then contradicts itself: {both[0]!r} is both used and excluded")
        return self

    def takes(self, candidate: Candidate) -> bool:
        """Whether ``candidate`` may answer."""
        names = names_of(candidate)
        if self.use and not _among(names, self.use):
            return False
        if _among(names, self.exclude):
            return False
        effort = candidate.effort
        return not (self.least_effort and effort and EFFORTS.index(effort) < EFFORTS.index(self.least_effort))


class RoutingRule(Settings):
    """One rule.

    Attributes:
        name: What decisions call it; ``"rule 3"`` for the third, if not given.
        when: What it applies to; everything, if not given.
        then: What it does.
    """

    label: ClassVar[str] = "rule"

    name: str = ""
    when: When = Field(default_factory=When)
    then: Then


@dataclass(frozen=True)
class RoutingRules:
    """A list of rules, checked.

    Attributes:
        rules: The rules, in order; those without a name are called by their place.

    Raises:
        ConfigurationError: Two rules have a name, or the same ``when`` and a ``use`` without a common candidate.
    """

    rules: tuple[RoutingRule, ...] = ()

    def __post_init__(self) -> None:
        if len(self.rules) > MOST_RULES:
            raise ConfigurationError(f"rules: {len(self.rules)} are more than {MOST_RULES}")
        named = [
            rule if rule.name else rule.model_copy(update={"name": f"rule {place}"})
            for place, rule in enumerate(self.rules, 1)
        ]
        object.__setattr__(self, "rules", tuple(named))
        seen: dict[str, RoutingRule] = {}
        for rule in self.rules:
            if rule.name in seen:
                raise ConfigurationError(f"rules: two are called {rule.name!r}")
            for other in seen.values():
                if other.when == rule.when and other.then.use and rule.then.use and _apart(other.then, rule.then):
                    raise ConfigurationError(
                        f"rules: {other.name!r} and {rule.name!r} apply to the same requests and use different models"
                    )
            seen[rule.name] = rule

    def __bool__(self) -> bool:
        return bool(self.rules)

    def __hash__(self) -> int:
        return hash(tuple(rule.name for rule in self.rules))

    @classmethod
    def of(cls, given: Any) -> RoutingRules:
        """From what a router is given: a list of rules or mappings, a YAML file with ``rules:``, or nothing.

        Raises:
            ConfigurationError: A rule cannot be read, or makes no sense; the message names it.
            MissingDependencyError: A rule has a ``regex``, and the package is not installed.
        """
        if isinstance(given, cls):
            return given
        if given is None:
            return cls()
        where = "rules"
        if isinstance(given, (str, os.PathLike)):
            where = str(given)
            content = read_yaml(given, "rules", hint="`rules:` and a list, see docs/rules.md")
            if set(content) != {"rules"}:
                raise ConfigurationError(f"{given}: write `rules:` and below it the list, and nothing else")
            given = content["rules"]
        if isinstance(given, Mapping) or not isinstance(given, Sequence):
            raise ConfigurationError(f"{where} must be a list of rules, not {type(given).__name__}")
        return cls(tuple(_rule(entry, f"{where}, rule {place}") for place, entry in enumerate(given, 1)))


class Told:
    """A request as rules see it.

    Attributes:
        text: All that the user said, with the documents that came with it.
        late: Patterns that took too long.
    """

    def __init__(self, turns: Sequence[Turn], needs: Needs) -> None:
        self.needs, self.late = needs, list[str]()
        said = [turn for turn in turns if turn.role == "user"]
        self._last = said[-1].text if said else ""
        self._documents = any(turn.documents for turn in turns)
        self.text = "\n".join(part for turn in said for part in (turn.text, *turn.documents))[:_LONGEST_TEXT]

    @cached_property
    def language(self) -> str:
        """Language of the last thing the user said; empty where it is not known."""
        return language_of(self._last)

    def is_a(self, kind: str) -> bool:
        """Whether the request is of a kind."""
        if kind == "small_talk":
            return is_courtesy(self._last)
        if kind == "code":
            return any(mark in self.text for mark in _CODE)
        if kind == "document":
            return self._documents or "pdf" in self.needs.abilities
        return _BY_ABILITY[kind] in self.needs.abilities


def excluded_by(rule: RoutingRule, candidates: Sequence[Candidate]) -> dict[str, Exclusion]:
    """The candidates that ``rule`` takes away, with the reason for each."""
    why = Exclusion("rule", f"by {rule.name!r}")
    return {candidate.name: why for candidate in candidates if not rule.then.takes(candidate)}


def names_of(candidate: Candidate) -> set[str]:
    """What rules may call ``candidate``: its name, with or without a provider before it, and its model's."""
    name = candidate.name.casefold()
    return {name, name.rpartition("/")[2], candidate.profile.model.casefold()}


def _rule(entry: Any, where: str) -> RoutingRule:
    try:
        return RoutingRule.of(entry)
    except MissingDependencyError:
        raise
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _compiled(pattern: str) -> Any:
    try:
        import regex
    except ImportError as error:
        raise MissingDependencyError.for_extra("a rule with a regex", "rules") from error
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ConfigurationError(f"regex {pattern!r} cannot be read: {error}") from None


def _among(names: set[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern.casefold()) for name in names for pattern in patterns)


def _apart(first: Then, second: Then) -> bool:
    plain_names = not any(mark in name for name in (*first.use, *second.use) for mark in "*?[")
    return plain_names and not {name.casefold() for name in first.use} & {name.casefold() for name in second.use}
