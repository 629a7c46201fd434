"""Profiles as a data set on the Hub: shared with their origin, pulled as data, refused where they are anything else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from modelsat import CapabilityProfile, ProfileStore, Registry
from modelsat.capability.figures import Figure, profile_of_figures
from modelsat.capability.store import LARGEST_FILE, profile_file_name
from modelsat.errors import HubError, InvalidProfileError
from modelsat.storage import profiles as sharing
from modelsat.storage.profiles import pull, push, registry_of
from tests.fakes import make_profile
from tests.hub_server import FakeHub, Fault

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's, on uploads
SOUND = b'{"model": "sound", "statements": [{"task": "MMLU", "accuracy": 0.5}]}'


@pytest.fixture
def tested() -> CapabilityProfile:
    return CapabilityProfile.from_benchmarks(
        "org/Model",
        {"MMLU": 0.5, "GPQA": 0.25},
        items={"MMLU": 100},
        aliases=("model-x",),
        tested_by="ana",
        date="2026-01-02",
        version="modelsat 1.0",
        settings={"questions": "TIGER-Lab/MMLU-Pro@abc", "temperature": 0.0, "adaptive": True},
    )


def test_what_is_pushed_is_pulled_with_its_origin(hub: FakeHub, tested: CapabilityProfile) -> None:
    published = profile_of_figures("published", [Figure("MMLU", 0.5)], source="card")
    pinned = push([tested, make_profile("other"), published], "org/profiles", token="hf_writer", private=True)
    files = hub.files("org/profiles", "dataset")
    assert set(files) == {
        *(".gitattributes", "README.md"),
        *(f"profiles/{profile_file_name(name)}" for name in ("org/Model", "other", "published")),
    }
    assert b'registry_of("org/profiles")' in files["README.md"]
    pulled = pull("org/profiles", token="hf_reader")
    assert pulled.source == pinned
    found = {profile.model: profile for profile in pulled.profiles}
    assert found["org/Model"] == tested.model_copy(update={"origin": str(pinned)})
    assert found["other"].tested_by == "writer", "the account signs what nobody has signed"
    assert found["published"].tested_by == "", "but not what others have published"
    registry = Registry.default().with_profiles(registry_of(str(pinned), token="hf_reader"))
    assert registry.find("model-x").origin == f"org/profiles@{pinned.revision}"


def test_pushing_again_replaces_by_word_alone(hub: FakeHub, tested: CapabilityProfile) -> None:
    first = push([tested], "org/profiles", token="hf_writer")
    assert push([tested], "org/profiles", token="hf_writer"), "the same again is no clash"
    better = tested.model_copy(update={"notes": "tested again"})
    with pytest.raises(HubError, match=r"holds other profiles of org/Model already: --force"):
        push([better], "org/profiles", token="hf_writer")
    second = push([better], "org/profiles", token="hf_writer", force=True)
    assert pull(str(first)).profiles[0].notes == ""
    assert pull("org/profiles").profiles[0].notes == "tested again"
    assert pull("org/profiles").source == second


def test_a_commit_in_between_is_not_overwritten(
    hub: FakeHub, tested: CapabilityProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    push([make_profile("other")], "org/profiles", token="hf_writer", tested_by="me")
    real: Callable[..., object] = sharing._refuse_to_replace

    def meanwhile(*arguments: object) -> None:
        hub.repositories["dataset", "org/profiles"].commit({"profiles/new.json": SOUND})
        real(*arguments)

    monkeypatch.setattr(sharing, "_refuse_to_replace", meanwhile)
    with pytest.raises(HubError, match=r"at the same time .412.; run it again"):
        push([tested], "org/profiles", token="hf_writer")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("bad.json", b"{", "not JSON"),
        ("bad.json", SOUND.replace(b"0.5", b"7"), "accuracy is a share"),
        ("bad.json", SOUND.replace(b'"model"', b'"__reduce__": "os.system", "model"'), "__reduce__"),
        ("bad.json", SOUND.replace(b"sound", b"evil\\u001b]0;x\\u0007"), "control character"),
        ("bad.json", b"[" * 50_000, "not JSON"),
        ("bad.json", b" " * (LARGEST_FILE + 1), "1,048,577 bytes"),
        ("sound2.json", SOUND, "another file already"),
        ("bad name.json", SOUND, "files are named"),
        ("sub/bad.json", SOUND, "files are named"),
        ("bad.py", b"import os", "files are named"),
        ("bad.pkl", b"\x80\x04", "files are named"),
    ],
)
def test_files_that_are_no_profiles_are_refused_and_named(
    hub: FakeHub, name: str, content: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub.repository("org/p", {"profiles/sound.json": SOUND, f"profiles/{name}": content, "run.py": b"x"}, kind="dataset")
    with caplog.at_level(logging.WARNING, "modelsat"):
        pulled = pull("org/p")
    assert [profile.model for profile in pulled.profiles] == ["sound"]
    assert list(pulled.refused) == [f"profiles/{name}"]
    assert reason in pulled.refused[f"profiles/{name}"]
    assert f"profiles/{name}" in caplog.text
    if len(content) > LARGEST_FILE or "named" in reason:
        assert hub.count(f"/resolve/.*/profiles/{name}") == 0, "it is not even downloaded"
    assert hub.count("run.py") == 0


def test_sets_without_a_usable_profile(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repository("org/empty", {"README.md": b"x"}, kind="dataset")
    hub.repository("org/bad", {"profiles/a.json": b"{"}, kind="dataset")
    hub.repository("org/many", {f"profiles/{n}.json": SOUND for n in range(30)}, kind="dataset")
    monkeypatch.setattr("modelsat.storage.profiles.MOST_FILES", 20)
    for repo, message in (
        ("org/empty", "org/empty@main holds no profiles"),
        ("org/bad", "holds no usable profile"),
        ("org/many", "holds 30 files"),
        ("org/none", "no such repository"),
        ("org/empty@v3", "no such revision"),
        ("nonsense", "not a repository on the Hub"),
    ):
        with pytest.raises(HubError, match=message):
            registry_of(repo)
    assert hub.count("org/many/resolve") == 0


def test_aliases_that_contradict_are_settled(hub: FakeHub, caplog: pytest.LogCaptureFixture) -> None:
    rows = {name: {"model": name, "aliases": ["x"], "statements": [{"task": "MMLU", "accuracy": 0.5}]} for name in "ab"}
    hub.repository(
        "org/p", {f"profiles/{name}.json": json.dumps(row).encode() for name, row in rows.items()}, kind="dataset"
    )
    assert registry_of("org/p").find("x").model == "a"
    assert "the alias x of b" in caplog.text


def test_offline_and_down(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    commit = hub.repository("org/p", {"profiles/sound.json": SOUND}, kind="dataset")
    pull("org/p")
    hub.faults = [Fault("/api/datasets/org/p", status=503)]
    assert pull("org/p").source.revision == commit
    assert "looking for what is cached" in caplog.text
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    assert registry_of("org/p").names() == ["sound"]
    with pytest.raises(HubError, match=r"HF_HUB_OFFLINE is set"):
        pull("org/other")
    assert hub.requests == []


def test_what_cannot_be_pushed(hub: FakeHub, tested: CapabilityProfile) -> None:
    for profiles, repo, token, message in (
        ([], "org/p", "hf_writer", "no profiles to push"),
        ([tested], "p", "hf_writer", "not a repository on the Hub"),
        ([tested], f"org/p@{'0' * 40}", "hf_writer", "a commit"),
        ([tested], "org/p", None, "log in"),
        ([tested], "org/p", "hf_reader", "token does not allow"),
        ([make_profile("a")], "org/p", "hf_nobody", "token was not accepted"),
    ):
        with pytest.raises(HubError, match=message):
            push(profiles, repo, token=token)
    with pytest.raises(InvalidProfileError, match="notes"):
        push([tested.model_copy(update={"notes": "x" * 9000})], "org/p", token="hf_writer")
    assert ("dataset", "org/p") not in hub.repositories


def test_what_was_pulled_routes_by_name(hub: FakeHub) -> None:
    hub.repository("org/p", {"profiles/sound.json": SOUND}, kind="dataset")
    for profile in pull("org/p").profiles:
        ProfileStore.default().save(profile)
    assert Registry.default().find("sound").origin.startswith("org/p@")
