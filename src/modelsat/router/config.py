"""What a router is made of besides its candidates: the one definition of every option, for every way in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from pydantic import BaseModel, ConfigDict, Field, field_validator

from modelsat.candidates.candidate import UnknownModels
from modelsat.errors import ConfigurationError
from modelsat.request.envelopes import EnvelopeReader
from modelsat.request.routing_rules import RoutingRules
from modelsat.validation import Settings

if TYPE_CHECKING:
    from typing import TypeAlias

    from modelsat.candidates.candidate import GivenFacts
    from modelsat.feedback import Feedback, FeedbackStore
    from modelsat.inference.base import ScoreCache, Scorer
    from modelsat.policies.resolve import GivenPolicy
    from modelsat.request.constraints import Constraints
    from modelsat.request.conversation import Extractor
    from modelsat.request.envelopes import Envelope
    from modelsat.request.routing_rules import RoutingRule

GivenFeedback: TypeAlias = "FeedbackStore | Feedback | Mapping[str, Any] | str | os.PathLike[str] | None"
"""What the option ``feedback`` takes."""


class RouterFields(BaseModel):
    """The options that every way in shares; see :class:`RouterConfig`."""

    model_config = ConfigDict(protected_namespaces=(), arbitrary_types_allowed=True)  # paths, for pydantic before 2.9

    policy: Any = "best"
    constraints: Any = None
    fallback: str | None = None
    strict: bool = False
    weights: str | os.PathLike[str] | None = None
    scorer: Any = Field(default=None, exclude=True, repr=False)
    extractor: Any = Field(default=None, exclude=True, repr=False)
    envelopes: tuple[Any, ...] = ()
    rules: Any = Field(default=None, exclude=True, repr=False)
    shadow: str | None = None
    canary: float | None = None
    experiment: Any = None
    cache_dir: str | os.PathLike[str] | None = None
    feedback: Any = Field(default=None, exclude=True, repr=False)
    unknown_models: UnknownModels = "error"

    @field_validator("fallback", mode="before")
    @classmethod
    def _names_a_model(cls, value: Any) -> Any:
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise ConfigurationError(f"fallback must be the name of a model, not {value!r}")
        return value

    @field_validator("envelopes", mode="before")
    @classmethod
    def _are_envelopes(cls, value: Any) -> Any:
        return EnvelopeReader(value).added

    @field_validator("rules", mode="before")
    @classmethod
    def _are_rules(cls, value: Any) -> Any:
        return None if value is None else RoutingRules.of(value)

    @field_validator("extractor")
    @classmethod
    def _is_a_function(cls, value: Any) -> Any:
        if value is not None and not callable(value):
            raise ConfigurationError("extractor must be a function from turns to text")
        return value


class RouterConfig(RouterFields, Settings):
    """Everything that decides besides the candidates. Every way in takes these options under these names.

    Attributes:
        policy: Who should answer: a name, ``"cheapest(target=0.8)"``, a mapping, a
            :class:`~modelsat.policies.Policy`, or a policy file, whose constraints hold besides ``constraints``.
        constraints: What no policy may overrule, as :class:`~modelsat.request.Constraints` or a mapping of its fields.
        facts: Prices, limits and abilities by candidate; what they leave out is looked up in the table that comes with
            the package. They may name the fallback, too.
        fallback: Model to name in the decision when routing fails; any model name. Where it may not answer, the
            cheapest candidate that may does. Without one, failures raise.
        strict: Raise on failures even if there is a fallback.
        weights: Name or folder of a checkpoint; if not given, the shipped weights that the policy file was fitted to,
            or else modelsat-nano.
        scorer: A scorer in place of the one loaded from ``weights``, or the address of ``modelsat serve``.
        extractor: Chooses the part of a conversation that is scored: a function from turns to text. If not given,
            :func:`~modelsat.request.last_user_turn_with_tail`.
        envelopes: Tags that an agent of yours puts around text in user turns, besides those of
            :data:`~modelsat.request.envelopes.ENVELOPES`: each an :class:`~modelsat.request.Envelope`, a mapping of
            its fields, or the name of a tag around what nobody said.
        rules: Who may answer which requests, before anything is scored: a list of
            :class:`~modelsat.request.routing_rules.RoutingRule` or mappings, or a YAML file of them. They take
            candidates away, and never overrule a constraint.
        shadow: Candidate that answers while the router only decides and records, where it may answer; also where
            routing fails, in place of ``fallback``.
        canary: Share of conversations, 0..1, in which the router's choice answers in place of the ``shadow``.
        experiment: Policies by name; each conversation is decided by one of them.
        cache_dir: Folder of the capability-embedding cache; the user's cache folder if not given.
        feedback: Where decisions and the feedback on them are kept, which corrects the scores: a file,
            ``"redis://host:port"``, a store, a :class:`~modelsat.feedback.Feedback`, or a mapping of ``store`` and the
            settings of a ``Feedback``.
        unknown_models: ``"estimate"`` takes a model that nobody has measured for what its relatives or its price say,
            and notes it in decisions; ``"error"`` refuses it.
        cache: Whether the scores of a text are kept for ten minutes, or a
            :class:`~modelsat.inference.base.ScoreCache` with other bounds, which routers may share. Policies decide
            each time, and feedback corrects what was kept. Scores of ``modelsat serve`` are good until it answers with
            other weights.
    """

    label: ClassVar[str] = "router options"

    facts: Any = None
    cache: Any = True

    @classmethod
    def merged(cls, config: RouterConfig | Mapping[str, Any] | None, options: Mapping[str, Any]) -> RouterConfig:
        """``config`` with ``options`` in place of its own.

        Raises:
            ConfigurationError: An option is unknown or cannot be right.
        """
        if config is None:
            return cls(**options)
        given = config if isinstance(config, RouterConfig) else RouterConfig.of(config)
        if not options and type(given) is cls:
            return given
        return cls(**{**{name: getattr(given, name) for name in cls.model_fields}, **options})


class SharedOptions(TypedDict, total=False):
    """The options of :class:`RouterFields` as keyword arguments, for type checkers."""

    policy: GivenPolicy
    constraints: Constraints | Mapping[str, Any] | None
    fallback: str | None
    strict: bool
    weights: str | os.PathLike[str] | None
    scorer: Scorer | str | None
    extractor: Extractor | None
    envelopes: Sequence[Envelope | Mapping[str, Any] | str]
    rules: Sequence[RoutingRule | Mapping[str, Any]] | RoutingRules | str | os.PathLike[str] | None
    shadow: str | None
    canary: float | None
    experiment: Mapping[str, GivenPolicy] | None
    cache_dir: str | os.PathLike[str] | None
    feedback: GivenFeedback
    unknown_models: UnknownModels


class RouterOptions(SharedOptions, total=False):
    """The options of :class:`RouterConfig` as keyword arguments, for type checkers."""

    facts: GivenFacts | None
    cache: ScoreCache | bool
