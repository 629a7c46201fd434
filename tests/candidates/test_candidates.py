"""What may stand for a candidate."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.candidates.candidate import Candidate, resolve_candidates
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError, ModelSATError, UnknownModelError
from tests.fakes import make_profile


class StubRegistry:
    """A registry of three models."""

    def find(self, name: str) -> CapabilityProfile:
        if name not in ("m1", "m2", "m3"):
            raise UnknownModelError(f"no profile for {name!r}")
        return make_profile(name)


REGISTRY: Any = StubRegistry()


def resolve(candidates: Any) -> tuple[Candidate, ...]:
    return resolve_candidates(candidates, REGISTRY)


def test_names_profiles_and_candidates_mix() -> None:
    resolved = resolve(["m1", make_profile("own"), Candidate("deployed", make_profile("m2"))])
    assert [candidate.name for candidate in resolved] == ["m1", "own", "deployed"]
    assert [candidate.profile.model for candidate in resolved] == ["m1", "own", "m2"]


def test_a_mapping_names_the_choice() -> None:
    resolved = resolve(
        {"cheap": "m1", "cheap-too": "m1", "strong": make_profile("x"), "c": Candidate("y", make_profile("y"))}
    )
    assert [(candidate.name, candidate.profile.model) for candidate in resolved] == [
        ("cheap", "m1"),
        ("cheap-too", "m1"),
        ("strong", "x"),
        ("c", "y"),
    ]


@pytest.mark.parametrize(
    ("candidates", "text"),
    [
        ([], "at least one"),
        ({}, "at least one"),
        (["m1", "m2", "m1"], "more than once: 'm1'"),
        ([make_profile("m2"), "m2", "m1", "m1"], "'m1', 'm2'"),
        ("m1", "not a single str"),
        (make_profile("m1"), "not a single CapabilityProfile"),
        (None, "not a single NoneType"),
        ([" "], "blank"),
        ({" ": "m1"}, "needs a name"),
        ([42], "not int"),
        ({"a": None}, "candidate 'a' must be"),
    ],
)
def test_refused(candidates: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        resolve(candidates)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownModelError, match="gpt-17"):
        resolve(["m1", "gpt-17"])


def test_a_candidate_needs_a_profile() -> None:
    with pytest.raises(ConfigurationError, match="needs a CapabilityProfile, not str"):
        Candidate("a", "m1")  # type: ignore[arg-type]


def test_profiles_need_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "modelsat.capability.registry", None)
    assert len(resolve_candidates([make_profile(f"m{i}", i / 500) for i in range(500)])) == 500


ENTRIES = st.sampled_from(["m1", "m2", "m3", "other", "", make_profile("own"), 7, None, b"m1"])


@given(st.lists(ENTRIES, max_size=4) | st.dictionaries(st.text(max_size=3), ENTRIES, max_size=4) | ENTRIES)
def test_anything_resolves_to_different_names_or_our_own_error(candidates: Any) -> None:
    try:
        resolved = resolve(candidates)
    except ModelSATError:
        return
    names = [candidate.name for candidate in resolved]
    assert names
    assert len(set(names)) == len(names)
