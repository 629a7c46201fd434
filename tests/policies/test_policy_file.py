"""Policy files, and what a router makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelsat.capability import CapabilityProfile
from modelsat.errors import ConfigurationError
from modelsat.policies import Cheapest, resolve_policy
from modelsat.policies.resolve import PolicyFile
from modelsat.request import Constraints
from modelsat.router import Router
from tests.fakes import FakeScorer

FACTS = {
    name: {"input_usd_per_mtok": price, "output_usd_per_mtok": price}
    for name, price in (("weak", 0.1), ("middling", 1), ("strong", 10))
}


def write(path: Path, **fields: Any) -> Path:
    path.write_text(json.dumps({"format": 1, "policy": {"name": "best"}, **fields}), "utf-8")
    return path


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = PolicyFile(
        policy="sticky(cheapest(target=0.7), per='turn')",
        constraints=Constraints(deny_models=["c", "a", "b"], max_usd_per_request=0.1),
        fitted={"aim": {"keep_quality": 0.95}, "data": "sha256:1"},
    )
    written.save(tmp_path / "p.json")
    assert PolicyFile.load(tmp_path / "p.json") == written
    assert json.loads((tmp_path / "p.json").read_text("utf-8")) == {
        "format": 1,
        "policy": {"name": "sticky", "inner": {"name": "cheapest", "target": 0.7}, "per": "turn"},
        "constraints": {"deny_models": ["a", "b", "c"], "max_usd_per_request": 0.1},
        "fitted": {"aim": {"keep_quality": 0.95}, "data": "sha256:1"},
    }
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


def test_text_is_a_policy_too(tmp_path: Path) -> None:
    assert resolve_policy(write(tmp_path / "p.json", policy="cheapest(target=0.7)")) == Cheapest(0.7)
    assert resolve_policy(str(tmp_path / "p.json")) == Cheapest(0.7)
    assert resolve_policy(PolicyFile.load(tmp_path / "p.json")) == Cheapest(0.7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 2, "policy": "best"}', "has format 2, and this version of modelsat reads 1"),
        ('{"format": "1", "policy": "best"}', "has format '1'"),
        ('{"policy": "best"}', 'lacks "format": 1'),
        ("[]", "is not a policy file"),
        ("{", "cannot read the policy file"),
        ('{"format": 1}', "policy"),
        ('{"format": 1, "policy": "cheapest(target=80)"}', "write 0.8 for 80 %"),
        ('{"format": 1, "policy": {"name": "luck"}}', "unknown policy 'luck'"),
        ('{"format": 1, "policy": 7}', "policy must be plain data"),
        ('{"format": 1, "policy": "other.json"}', "not the name of another file"),
        ('{"format": 1, "policy": "best", "limits": {}}', "unknown field 'limits'"),
        (
            '{"format": 1, "policy": "best", "constraints": {"allow_models": ["a"], "deny_models": ["a"]}}',
            "both allowed and denied",
        ),
    ],
)
def test_faulty_files_say_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=r"p\.json") as caught:
        PolicyFile.load(path)
    assert message in str(caught.value)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot write .*p\.json"):
        PolicyFile(policy="best").save(tmp_path / "nowhere" / "p.json")


def test_a_router_takes_its_policy_and_constraints(
    tmp_path: Path, profiles: list[CapabilityProfile], fake_scorer: FakeScorer
) -> None:
    path = write(tmp_path / "p.json", policy="cheapest(target=0.5)", constraints={"deny_models": ["middling"]})
    router = Router(profiles, policy=path, facts=FACTS, scorer=fake_scorer)
    assert router.route("hello").model == "strong"
    assert Router(profiles, policy=PolicyFile.load(path), facts=FACTS, scorer=fake_scorer).versions == router.versions
    both = Router(profiles, policy=path, facts=FACTS, scorer=fake_scorer, constraints={"deny_models": ["strong"]})
    assert both.route("hello").model == "weak"
    assert set(both.route("hello").excluded) == {"middling", "strong"}


def test_the_version_covers_policy_constraints_and_facts(tmp_path: Path, profiles: list[CapabilityProfile]) -> None:
    path = write(tmp_path / "p.json", policy="cheapest(target=0.5)", constraints={"deny_models": ["weak"]})

    def version(policy: Any = path, **options: Any) -> str:
        return Router(profiles, policy=policy, **{"facts": FACTS, **options}).versions["policy"]

    same = version("cheapest(0.5)", constraints={"deny_models": ["weak"]})
    assert version() == same
    others = {
        version("cheapest(0.6)", constraints={"deny_models": ["weak"]}),
        version("cheapest(0.5)"),
        version(facts={**FACTS, "weak": {"input_usd_per_mtok": 0.2, "output_usd_per_mtok": 0.1}}),
    }
    assert len(others - {same}) == 3


def test_missing_prices_are_an_error_where_the_policy_weighs_them(profiles: list[CapabilityProfile]) -> None:
    for policy in ("cheapest", "tradeoff(1)", "budget(1)", "cascade", "sticky(cheapest)"):
        with pytest.raises(ConfigurationError, match="no price is known for middling, strong"):
            Router(profiles, policy=policy, facts={"weak": FACTS["weak"]})
    assert Router(profiles, policy="sticky(best)").policy.name == "sticky"


@pytest.mark.parametrize("kind", ["path", "file"])
def test_a_file_brings_the_weights_that_it_was_fitted_to(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = [Path("modelsat-mini"), Path("modelsat-nano")]
    monkeypatch.setattr("modelsat.storage.checkpoint.shipped_folders", lambda: shipped)
    for weights, given, expected in (
        ("modelsat-mini@5a4c279b6e99", None, "modelsat-mini"),
        ("modelsat-mini@5a4c279b6e99", "modelsat-nano", "modelsat-nano"),
        ("modelsat-pico@5a4c279b6e99", None, "modelsat-nano"),
        ("of-my-own@1", None, "modelsat-nano"),
        (7, None, "modelsat-nano"),
    ):
        path = write(tmp_path / "p.json", fitted={"weights": weights})
        router = Router(["gpt-4o", "gpt-4"], policy=path if kind == "path" else PolicyFile.load(path), weights=given)
        assert router.versions["weights"] == expected
    assert Router(["gpt-4o", "gpt-4"]).versions["weights"] == "modelsat-nano"
