"""The newest registry from the Hub: pinned, checked, kept, and used where it is newer."""

from __future__ import annotations

import json
import logging
from importlib import resources
from pathlib import Path

import pytest

from modelsat import Registry
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


def publish(hub: FakeHub, data: bytes, manifest: bytes | None = None) -> str:
    files = {"registry.jsonl": data, "MANIFEST.json": manifest_of(data) if manifest is None else manifest}
    return hub.repository("modelsat/registry", files, kind="dataset")


def test_a_newer_registry_is_fetched_pinned_and_used(hub: FakeHub, run: Run) -> None:
    assert "brand-new" not in Registry.default()
    commit = publish(hub, newer())
    result = run("models", "update")
    assert result.exit_code == 0, result.stderr
    assert f"modelsat/registry@{commit}: the registry of 2027-01-15 is used from now on" in result.stdout
    assert "1 added: brand-new-1" in result.stdout
    assert "1 changed: gpt-5.6-sol" in result.stdout
    assert "1 removed: alpaca-7b" in result.stdout
    assert Registry.default().find("brand-new").model == "brand-new-1"
    assert (Registry.default().date, Registry.shipped().date) == ("2027-01-15", "2026-11-30")
    assert "brand-new" not in Registry.shipped()


def test_an_older_one_changes_nothing(hub: FakeHub) -> None:
    publish(hub, newer("2026-01-01"))
    found = update_registry()
    assert not found.taken
    assert Registry.default().date == "2026-11-30"


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
    folder = module.registry_directory()
    name = json.loads((folder / "origin.json").read_text("utf-8"))["file"]
    Path(folder / name).write_bytes(newer("2027-02-02"))
    module._fetched.cache_clear()
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
