from __future__ import annotations

from litellm_modelsat.deployments import make_candidate, read_deployment
from litellm_modelsat.settings import GroupSettings
from modelsat.candidates import Candidate


def test_the_effort_of_a_deployment_is_part_of_its_candidate() -> None:
    def made(**params: object) -> Candidate:
        entry = {"model_name": "smart", "litellm_params": {"model": "openai/gpt-5.6", **params}}
        found = make_candidate(read_deployment(entry, "model_list[0]"), "smart", GroupSettings(), "groups.smart")
        assert found is not None
        return found

    low, high, plain = made(reasoning_effort="low"), made(thinking={"type": "enabled", "budget_tokens": 16_000}), made()
    assert [c.name for c in (low, high, plain)] == ["openai/gpt-5.6@low", "openai/gpt-5.6@high", "openai/gpt-5.6"]
    assert [c.effort for c in (low, high, plain)] == ["low", "high", ""]
    assert low.profile.digest != high.profile.digest
    assert low.facts.input_usd_per_mtok == plain.facts.input_usd_per_mtok


def test_a_deployment_that_nobody_has_measured_is_estimated_if_that_is_wanted() -> None:
    entry = {"model_name": "smart", "litellm_params": {"model": "openai/gpt-6.7"}}
    deployment = read_deployment(entry, "model_list[0]")
    assert make_candidate(deployment, "smart", GroupSettings(), "groups.smart") is None
    found = make_candidate(deployment, "smart", GroupSettings(), "groups.smart", estimates=True)
    assert found is not None
    assert found.profile.estimated_from[0].startswith("gpt-")
