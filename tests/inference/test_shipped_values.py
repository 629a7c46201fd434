"""What the array files beside the shipped weights say, not only their shapes."""

from pathlib import Path

import numpy as np
import pytest

from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.inference import load_scorer
from modelsat.inference.local import BatchedScorer
from modelsat.storage.cache import CapabilityCache
from modelsat.storage.checkpoint import SHIPPED
from tests.fakes import FakeEncoder

FIELDS = {
    "Solve for x: 3x^2 - 12x + 9 = 0.": "mathematics",
    "Which organelle produces ATP in a human cell?": "life sciences and medicine",
    "A contract was signed under duress. Can the victim rescind it?": "law",
    "Write a Python function that reverses a linked list.": "computing",
    "A block slides down a frictionless incline of 30 degrees. What is its acceleration?": "physics and engineering",
}


@pytest.fixture(scope="module")
def scorer() -> BatchedScorer:
    return load_scorer(SHIPPED, keep=False)


def test_fields_of_plain_prompts(scorer: BatchedScorer) -> None:
    scores = scorer.score(list(FIELDS), [next(iter(Registry.shipped()))])
    assert [max(shares, key=lambda field: shares[field]) for shares in scores.by_field()] == list(FIELDS.values())


def test_shipped_embeddings_are_those_of_the_registry(scorer: BatchedScorer) -> None:
    profiles = list(Registry.shipped())[::40]
    shipped = scorer.capabilities(profiles)
    scorer._shipped, scorer._sets = {}, {}
    np.testing.assert_allclose(scorer.capabilities(profiles), shipped, atol=1e-3)


def test_shipped_embeddings_come_before_those_kept_on_disk(tmp_path: Path) -> None:
    profile = next(iter(Registry.shipped()))
    CapabilityCache(load_scorer(SHIPPED, keep=False).version, tmp_path).get_or_encode([profile], FakeEncoder())
    scorer = load_scorer(SHIPPED, cache_dir=tmp_path)
    np.testing.assert_array_equal(scorer.capabilities([profile])[0], scorer._shipped[profile.digest])


def test_a_profile_of_ones_own_is_encoded_once_and_kept_for_later_processes(tmp_path: Path) -> None:
    profile = CapabilityProfile.from_benchmarks("mine", {"MMLU": 0.5, "GPQA": 0.4})
    first, second = (load_scorer(SHIPPED, cache_dir=tmp_path) for _ in range(2))
    p = first.score(["Hello"], [profile]).p
    second._encode_all = None  # type: ignore[assignment, method-assign]
    np.testing.assert_array_equal(second.score(["Hello"], [profile]).p, p)
