"""Scoring: instructions and capability embeddings in, probabilities out."""

from modelsat.scoring.base import Scorer

__all__ = ["Scorer"]
