"""The newest registry from the Hub: pinned, checked, kept, and used where it is newer."""

from __future__ import annotations

import json
import logging
from importlib import resources
from pathlib import Path

import pytest

from modelsat import Registry, Router
from modelsat.candidates import known_facts
from modelsat.candidates.fact_table import FactTable, write_table
from modelsat.candidates.facts import ModelFacts, Rate
from modelsat.capability import fetched
from modelsat.capability import registry as module
from modelsat.capability.registry_file import RegistryFile, render
from modelsat.errors import HubError
from modelsat.storage.registry import manifest_of, update_registry
from tests.cli.conftest import Run, run
from tests.hub_server import FakeHub, hub

__all__ = ["hub", "run"]


def newer(date: str = "2027-01-15") -> bytes:
    """The shipped registry with a model more, one less and one changed, as of a later date."""
    data = resources.files("modelsat.capability").joinpath("data/registry.jsonl").read_bytes()
    file = RegistryFile.of(data)
    entries = [file.entry(position) for position in range(len(file.names))]
    added = {**entries[0], "model": "brand-new-1", "aliases": ["brand-new"]}
    changed = next(entry for entry in entries if entry["model"] == "gpt-5.6-sol")
    changed["statements"] = changed["statements"][:5]
    kept = [entry for entry in entries if entry["model"] != "alpaca-7b"]
    return render(date, [*kept, added]).encode()


def newer_prices(date: str = "2027-01-15", price: float = 7.0) -> bytes:
    """The shipped table with an offer more, one less, and another price, tier and end of one, as of a later date."""
    offers = {offer.name: offer.facts.model_copy(update={"provider": offer.provider}) for offer in FactTable.shipped()}
    del offers["gpt-4"]
    tier = Rate(above_tokens=200_000, input_usd_per_mtok=2 * price, output_usd_per_mtok=30)
    offers["gpt-5.6-sol"] = offers["gpt-5.6-sol"].model_copy(
        update={
            "input_usd_per_mtok": price,
            "tiers": (tier,),
            "deprecated_on": "2027-06-30",
            "successor": "gpt-6-sol",
        }
    )
    offers["brand-new-1"] = ModelFacts(
        input_usd_per_mtok=1, output_usd_per_mtok=4, context_window=400_000, provider="openai"
    )
    return write_table("a test", date, offers).encode()


def publish(hub: FakeHub, data: bytes, manifest: bytes | None = None, prices: bytes | None = None) -> str:
    files = {"registry.jsonl": data, "MANIFEST.json": manifest_of(data, prices) if manifest is None else manifest}
    if prices is not None:
        files["models.json"] = prices
    return hub.repository("modelsat/registry", files, kind="dataset")


def test_a_newer_registry_is_fetched_pinned_and_used(hub: FakeHub, run: Run) -> None:
    assert "brand-new" not in Registry.default()
    commit = publish(hub, newer())
    result = run("models", "update")
    assert result.exit_code == 0, result.stderr
    assert f"modelsat/registry@{commit}: the registry of 2027-01-15: used from now on" in result.stdout
    assert "1 added: brand-new-1" in result.stdout
    assert "1 changed: gpt-5.6-sol" in result.stdout
    assert "1 removed: alpaca-7b" in result.stdout
    assert Registry.default().find("brand-new").model == "brand-new-1"
    assert (Registry.default().date, Registry.shipped().date) == ("2027-01-15", "2026-11-30")
    assert "brand-new" not in Registry.shipped()


def test_newer_prices_limits_and_ends_are_fetched_and_used(hub: FakeHub, run: Run) -> None:
    assert not known_facts("brand-new-1").origins
    commit = publish(hub, newer(), prices=newer_prices())
    result = run("models", "update")
    assert result.exit_code == 0, result.stderr
    told = result.stdout[result.stdout.index("the prices of") :]
    assert f"modelsat/registry@{commit}: the prices of 2027-01-15: used from now on" in result.stdout
    assert "1 added: brand-new-1\n1 changed: gpt-5.6-sol\n1 removed: gpt-4\n" in told
    facts = known_facts("gpt-5.6-sol")
    assert (facts.input_usd_per_mtok, facts.deprecated_on, facts.successor) == (7.0, "2027-06-30", "gpt-6-sol")
    assert facts.rate(300_000).input_usd_per_mtok == 14.0
    assert facts.origins["input_usd_per_mtok"] == "price table of 2027-01-15"
    assert known_facts("brand-new-1").context_window == 400_000
    router = Router(["gpt-5.6-sol", "gpt-4o-mini"])
    assert {c.name: c.facts.input_usd_per_mtok for c in router.candidates}["gpt-5.6-sol"] == 7.0
    again = json.loads(run("models", "update", "--json").stdout)
    assert (again["facts"]["taken"], again["facts"]["before"]) == (False, "2027-01-15")


def test_an_older_one_changes_nothing(hub: FakeHub) -> None:
    publish(hub, newer("2026-01-01"), prices=newer_prices("2026-01-01"))
    found = update_registry()
    assert not found.models.taken
    assert found.facts is not None
    assert not found.facts.taken
    assert Registry.default().date == "2026-11-30"
    assert FactTable.default() is FactTable.shipped()


def test_each_file_stays_until_a_newer_one_of_its_kind(hub: FakeHub) -> None:
    publish(hub, newer("2027-03-01"), prices=newer_prices("2027-01-15"))
    update_registry()
    publish(hub, newer("2027-02-01"), prices=newer_prices("2027-02-01", price=8.0))
    found = update_registry()
    assert (found.models.taken, found.facts and found.facts.taken) == (False, True)
    assert (Registry.default().date, FactTable.default().date) == ("2027-03-01", "2027-02-01")
    publish(hub, newer("2027-04-01"))
    assert update_registry().facts is None
    assert (Registry.default().date, FactTable.default().date) == ("2027-04-01", "2027-02-01")
    assert known_facts("gpt-5.6-sol").input_usd_per_mtok == 8.0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ((b"brand-new-1", b"brand\\u202enew"), "control character"),
        ((b'"date":"2027-01-15"', b'"date":"tomorrow"'), "Invalid isoformat"),
        ((b"[7,", b"[-7,"), "usable table of prices"),
        ((b"[7,", b"[7e-6,"), "in USD per million tokens"),
        ((b"2027-06-30", b"next June"), "deprecated_on is a day"),
        ((b'"openai",', b""), "usable table of prices"),
    ],
    ids=["a name that turns text round", "no date", "a price below 0", "a price per token", "no day", "no provider"],
)
def test_unsound_prices_are_refused_and_what_is_there_stays(
    hub: FakeHub, change: tuple[bytes, bytes], why: str
) -> None:
    prices = newer_prices()
    assert change[0] in prices
    publish(hub, newer(), prices=prices.replace(*change))
    with pytest.raises(HubError, match=why):
        update_registry()
    assert (Registry.default(), FactTable.default()) == (Registry.shipped(), FactTable.shipped())


@pytest.mark.parametrize(
    ("data", "manifest", "why"),
    [
        (newer() + b" ", manifest_of(newer()), "does not match the sum"),
        (newer(), b"{}", "does not say the SHA-256 sum"),
        (b"[]", None, "is not a usable registry"),
        (newer().replace(b"brand-new-1", b"brand\\u202enew"), None, "is not a usable registry"),
        (newer().replace(b'"gpt-5"', b'"gpt-5.5"'), None, "is not a usable registry"),
    ],
    ids=["another sum", "no sum", "no registry", "a name that turns text round", "a name claimed twice"],
)
def test_what_is_not_sound_is_refused_and_what_is_there_stays(
    hub: FakeHub, data: bytes, manifest: bytes | None, why: str
) -> None:
    publish(hub, data, manifest)
    with pytest.raises(HubError, match=why):
        update_registry()
    assert Registry.default() is Registry.shipped()


def test_without_a_network_what_is_there_stays(hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(hub, newer())
    update_registry()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    result = run("models", "update")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert Registry.default().date == "2027-01-15"


def test_a_fetched_registry_that_was_changed_since_is_left_out(hub: FakeHub, caplog: pytest.LogCaptureFixture) -> None:
    publish(hub, newer())
    update_registry()
    folder = fetched.registry_directory()
    name = fetched.kept_files()["registry.jsonl"]["file"]
    Path(folder / name).write_bytes(newer("2027-02-02"))
    fetched._read.cache_clear()
    assert Registry.default() is Registry.shipped()
    assert "was changed since" in caplog.text


def test_an_old_registry_is_told_of_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OLD_DAYS", 90)
    with caplog.at_level(logging.WARNING, "modelsat"):
        for _ in range(3):
            module._say_old("2026-11-30", "2027-03-01")
    assert [record.getMessage() for record in caplog.records] == [
        "the registry of known models is 91 days old (2026-11-30): `modelsat models update` fetches the newest"
    ]
    caplog.clear()
    module._say_old("2026-11-30", "2027-02-28")
    assert not caplog.records
