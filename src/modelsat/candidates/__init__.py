"""The models a router may choose from: what each is, costs, and can take."""

from modelsat.candidates.candidate import Candidate, known_facts, resolve_candidates
from modelsat.candidates.facts import ModelFacts

__all__ = [
    "Candidate",
    "ModelFacts",
    "known_facts",
    "resolve_candidates",
]
