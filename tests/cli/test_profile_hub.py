from __future__ import annotations

import pytest

from modelsat import ProfileStore
from tests.cli.conftest import Run
from tests.fakes import make_profile
from tests.hub_server import FakeHub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's, on uploads


@pytest.fixture(autouse=True)
def _writer(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_writer")


def accuracies() -> dict[str, float]:
    return {profile.model: profile.statements[0].accuracy for profile in ProfileStore.default().load()}


def test_push_and_pull(run: Run, hub: FakeHub) -> None:
    store = ProfileStore.default()
    for name, accuracy in (("a", 0.4), ("b", 0.5)):
        store.save(make_profile(name, accuracy))
    pushed = run("profile", "push", "org/profiles", "--tested-by", "ana", "--private")
    assert pushed.exit_code == 0, pushed.stderr
    assert "pushed 2 profiles: org/profiles@" in pushed.stdout
    store.delete("a")
    store.delete("b")
    dry = run("profile", "pull", "org/profiles", "--dry-run")
    assert "ana" in dry.stdout
    assert accuracies() == {}
    assert run("profile", "pull", "org/profiles", "--models", "A").exit_code == 0
    assert accuracies() == {"a": 0.4}
    assert run("profile", "pull", "org/profiles").exit_code == 0, "the same again is no clash"
    store.save(make_profile("a", 0.4))
    again = run("profile", "pull", "org/profiles")
    assert "1 profile of" in again.stdout
    assert "1 of your own are the same" in again.stdout
    assert {profile.model: bool(profile.origin) for profile in store.load()} == {"a": False, "b": True}
    store.save(make_profile("a", 0.9))
    clash = run("profile", "pull", "org/profiles")
    assert clash.exit_code == 2
    assert "your store has other profiles of a: --force" in clash.stderr
    assert accuracies() == {"a": 0.9, "b": 0.5}, "one's own profile is never lost"
    assert run("profile", "pull", "org/profiles", "--force").exit_code == 0
    assert accuracies() == {"a": 0.4, "b": 0.5}
    store.save(make_profile("a", 0.8))
    assert run("profile", "push", "org/profiles", "-m", "a").exit_code == 2
    assert run("profile", "push", "org/profiles", "-m", "a", "--force").exit_code == 0
    store.delete("b")
    assert run("profile", "pull", "org/profiles", "-m", "b").exit_code == 0


def test_refused_files_are_named_and_the_rest_is_kept(run: Run, hub: FakeHub) -> None:
    sound = b'{"model": "sound", "statements": [{"task": "MMLU", "accuracy": 0.5}]}'
    hub.repository("org/p", {"profiles/sound.json": sound, "profiles/bad.json": b"{"}, kind="dataset")
    result = run("profile", "pull", "org/p")
    assert result.exit_code == 2
    assert "left out: profiles/bad.json" in result.stderr
    assert accuracies() == {"sound": 0.5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("push", "org/p"), "no profiles to push"),
        (("push", "org/p", "-m", "x"), "no profile of 'x' in your store"),
        (("pull", "org/none"), "no such repository"),
        (("pull", "x"), "not a repository on the Hub"),
    ],
)
def test_mistakes_are_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("profile", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
