"""LangChain's decision-model interface: "which of these models?" answered with probabilities of success."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import ConfigDict, Field, model_validator

from langchain_modelsat.selector import SelectorPool
from modelsat.candidates.facts import ModelFacts
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.errors import ConfigurationError, MissingDependencyError, UnknownModelError
from modelsat.policies.resolve import weights_for
from modelsat.router.config import RouterFields

try:
    from langchain_core.decisions import (  # type: ignore[import-not-found, unused-ignore]
        BaseDecisionModel,
        Choice,
        ChoiceAnswer,
        ClassifierResponse,
    )
except ImportError as error:
    raise MissingDependencyError(
        'ModelSATDecisionModel needs langchain-core 1.8 or later: pip install --upgrade "langchain-core>=1.8,<2"'
    ) from error


class ModelSATDecisionModel(RouterFields, BaseDecisionModel):  # type: ignore[misc, unused-ignore]
    """Answers ``Choice`` questions whose labels are models, e.g. those of LangChain's ``ModelRouterMiddleware``.

    Each label needs a capability profile. It is taken from ``profiles``, from the label's criterion (a profile's JSON,
    {benchmark: accuracy}, or a name of the registry), or from the registry under the label itself. The answer's
    ``probabilities`` are P(success) of every label, each for itself: they need not add up to one. ``confidence`` is
    P(success) of the chosen label, 0 after a fallback. The options are the fields of :class:`~modelsat.RouterConfig`;
    ``fallback`` is a label.

    Attributes:
        model: Name or folder of a checkpoint; chosen as :class:`~modelsat.Router` does if not given.
        profiles: Capability profiles by label.
        facts: Prices, limits and abilities by label, as :class:`~modelsat.candidates.ModelFacts` or mappings.
        pool: Selectors and weights in use; made by the constructor.
    """

    model: str = ""
    profiles: dict[str, CapabilityProfile] = Field(default_factory=dict, exclude=True, repr=False)
    facts: dict[str, ModelFacts] = Field(default_factory=dict, exclude=True, repr=False)
    pool: SelectorPool = Field(default_factory=SelectorPool, exclude=True, repr=False)

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _names_weights(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            return {**values, "model": str(weights_for(values.get("model"), values.get("policy")))}
        return values

    @property
    def _provider(self) -> str:
        return "modelsat"

    def _classify(self, state: Any, questions: dict[str, Any]) -> ClassifierResponse:
        messages = _messages(state)
        answers: dict[str, Any] = {name: self._answer(name, asked, messages) for name, asked in questions.items()}
        return ClassifierResponse(model=self.model, answers=answers)

    def _answer(self, name: str, question: Any, messages: Any) -> ChoiceAnswer:
        if not isinstance(question, Choice):
            raise ConfigurationError(
                f"question {name!r} is a {type(question).__name__}: this model chooses among models, ask it a Choice "
                "whose labels are their names"
            )
        profiles = {label: self._profile(label, criterion) for label, criterion in question.criteria.items()}
        options = {name: getattr(self, name) for name in RouterFields.model_fields}
        options["weights"] = self.model
        options["fallback"] = self.fallback if self.fallback in profiles else None
        facts = {label: self.facts[label] for label in profiles if label in self.facts}
        decision = self.pool.get(profiles, facts, options).router.route(messages)
        return ChoiceAnswer(
            type="choice",
            choice=decision.model,
            probabilities={label: decision.scores.get(label, 0.0) for label in profiles},
            confidence=decision.score or 0.0,
        )

    def _profile(self, label: str, criterion: Any) -> CapabilityProfile:
        if label in self.profiles:
            return self.profiles[label]
        if isinstance(criterion, Mapping):
            return _from_criterion(label, json.dumps(criterion, sort_keys=True))
        registry = Registry.default()
        for name in (criterion, label):
            if isinstance(name, str) and name in registry:
                return registry.find(name)
        raise UnknownModelError(
            f"no capability profile is known for the label {label!r}: give one as "
            f"ModelSATDecisionModel(profiles={{{label!r}: CapabilityProfile(...)}}), or make the criterion "
            "a name of the registry or {benchmark: accuracy}"
        )


@lru_cache(maxsize=256)
def _from_criterion(label: str, criterion: str) -> CapabilityProfile:
    """The profile in a criterion: the same object for the same text, so that it is encoded once."""
    fields = json.loads(criterion)
    if "statements" in fields:
        return CapabilityProfile(**{"model": label, **fields})
    return CapabilityProfile.from_benchmarks(label, fields)


def _messages(state: Any) -> Any:
    """What of a decision model's state is scored: text, messages, the messages of an agent's state, or its JSON."""
    if not isinstance(state, Mapping) or "role" in state:
        return state
    if isinstance(state.get("messages"), (list, tuple, str, BaseMessage)):
        return state["messages"]
    return json.dumps(state, ensure_ascii=False, default=str)


__all__ = ["ModelSATDecisionModel"]
