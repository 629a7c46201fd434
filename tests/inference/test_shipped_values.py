"""What the array files beside the shipped weights say, not only their shapes."""

import numpy as np
import pytest

from modelsat.capability.registry import Registry
from modelsat.inference import load_scorer
from modelsat.inference.batched import BatchedScorer
from modelsat.storage.checkpoint import SHIPPED

FIELDS = {
    "Solve for x: 3x^2 - 12x + 9 = 0.": "mathematics",
    "Which organelle produces ATP in a human cell?": "life sciences and medicine",
    "A contract was signed under duress. Can the victim rescind it?": "law",
    "Write a Python function that reverses a linked list.": "computing",
    "A block slides down a frictionless incline of 30 degrees. What is its acceleration?": "physics and engineering",
    "Explain Kant's categorical imperative.": "humanities",
    "How does classical conditioning shape a phobia?": "psychology",
}


@pytest.fixture(scope="module")
def scorer() -> BatchedScorer:
    loaded = load_scorer(SHIPPED)
    assert isinstance(loaded, BatchedScorer)
    return loaded


def test_fields_of_plain_prompts(scorer: BatchedScorer) -> None:
    capability = scorer.encode_profiles([next(iter(Registry.shipped()))])
    shares = scorer.score_with_fields(list(FIELDS), capability)[1]
    found = dict(zip(FIELDS, (scorer.fields[index] for index in shares.argmax(axis=1)), strict=True))
    assert found == FIELDS


def test_shipped_embeddings_are_those_of_the_registry(scorer: BatchedScorer) -> None:
    profiles = list(Registry.shipped())[::40]
    shipped = scorer.encode_profiles(profiles)
    scorer._shipped = {}
    np.testing.assert_allclose(scorer.encode_profiles(profiles), shipped, atol=1e-3)
