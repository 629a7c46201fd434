"""The models a router may choose from: what each is, costs, and can take."""

from modelsat.candidates.candidate import Candidate, GivenFacts, UnknownModels, known_facts, resolve_candidates
from modelsat.candidates.completion import CompletionModel, ConstantCompletion
from modelsat.candidates.facts import ABILITIES, Ability, ModelFacts

__all__ = [
    "ABILITIES",
    "Ability",
    "Candidate",
    "CompletionModel",
    "ConstantCompletion",
    "GivenFacts",
    "ModelFacts",
    "UnknownModels",
    "known_facts",
    "resolve_candidates",
]
