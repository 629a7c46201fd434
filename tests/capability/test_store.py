"""The user's profile store: whole files, several processes, damaged ones named and left out."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat import ProfileStore, Registry, Router
from modelsat.capability.equating import equate
from modelsat.capability.profile import CapabilityProfile, load_profiles
from modelsat.capability.store import (
    LARGEST_FILE,
    parse_profile,
    profile_file_name,
    profile_json,
    read_profile,
    store_directory,
)
from modelsat.errors import InvalidProfileError, StoreError
from tests.fakes import FakeScorer, make_profile


@pytest.fixture
def store(tmp_path: Path) -> ProfileStore:
    return ProfileStore(tmp_path / "store")


def test_a_profile_comes_back_as_it_was(store: ProfileStore) -> None:
    profile = CapabilityProfile.from_benchmarks(
        "org/My Model:8b",
        {"MMLU": 0.5, "Über-Test": 0.25},
        items={"MMLU": 100},
        aliases=("mine",),
        tested_by="ana",
        version="modelsat 1",
        settings={"temperature": 0.0, "adaptive": True, "questions": "TIGER-Lab/MMLU-Pro@abc", "limit": None},
    )
    path = store.save(profile)
    assert store.load() == [profile]
    assert hash(store.load()[0]) == hash(profile)
    assert path == store.path("org/My Model:8b")
    assert path.name.startswith("org-my-model-8b-")
    assert load_profiles(path) == [profile], "a stored file also does where a file of profiles is asked for"
    assert [entry.name for entry in store.folder.iterdir()] == [path.name]


def test_saving_again_replaces_and_deleting_forgets(store: ProfileStore) -> None:
    store.save(make_profile("mine", 0.5))
    store.save(make_profile("MINE", 0.6))
    assert [profile.statements[0].accuracy for profile in store.load()] == [0.6]
    assert store.delete(" Mine ")
    assert not store.delete("mine")
    assert store.load() == []


def test_a_file_put_there_under_another_name_is_read_and_deleted(store: ProfileStore) -> None:
    path = store.save(make_profile("mine"))
    path.rename(store.folder / "from-a-friend.json")
    assert [profile.model for profile in store.load()] == ["mine"]
    assert store.delete("mine")
    assert store.load() == []


def test_different_names_have_different_files() -> None:
    names = ["a/b", "a-b", "a b", "A.B", "模型", "模型2", "..", "CON", "x" * 500, "x" * 499]
    files = [profile_file_name(name) for name in names]
    assert len({file.casefold() for file in files}) == len(names)
    assert all(file.isascii() and "/" not in file and len(file) < 100 for file in files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b'{"model": "x", "statements"', "not JSON"),
        (b"[1]", "one JSON object"),
        (b'{"model": "x", "model": "y"}', "given twice"),
        (b'{"model": "x", "statements": [{"task": "MMLU", "accuracy": NaN}]}', "NaN is not a number"),
        (b'{"model": "x", "statements": [{"task": "MMLU", "accuracy": 1e999}]}', "1e999 is not a number"),
        (b'{"model": "x", "statements": [{"task": "MMLU", "accuracy": 0.5, "items": 1%s}]}' % (b"0" * 300), "items"),
        (b'{"model": "x", "statements": [{"task": "MMLU", "accuracy": 0.5}], "self": 1, "cls": 2}', "self"),
        (b'{"model": "x", "statements": [{"task": "MMLU", "accuracy": 71}]}', "write 0.71"),
        (b'{"model": "x", "statements": []}', "at least one"),
        (b'{"model": "x", "statements": [{"task": "MMLU", "accuracy": 0.5}], "code": "import os"}', "code"),
        (b'{"model": "x\\u001b[2J", "statements": [{"task": "MMLU", "accuracy": 0.5}]}', "control character U\\+001B"),
        (b'{"model": "x\\u202e", "statements": [{"task": "MMLU", "accuracy": 0.5}]}', "control character U\\+202E"),
        (b'{"model": "gpt-5\\u200b", "statements": [{"task": "MMLU", "accuracy": 0.5}]}', "control character U\\+200B"),
        (b'{"model": "two\\nlines", "statements": [{"task": "MMLU", "accuracy": 0.5}]}', "control character U\\+000A"),
        (b'{"model": "x\\ud800", "statements": [{"task": "MMLU", "accuracy": 0.5}]}', "control character U\\+D800"),
        (b'{"model": "' + b"x" * 400 + b'", "statements": [{"task": "MMLU", "accuracy": 0.5}]}', "400 characters"),
        (b'{"model": "x", "statements": [' + b"1," * 3000 + b"1]}", "3001 entries"),
        (b'{"model": "x", "statements": ' + b"[" * 9 + b"]" * 9 + b"}", "nested too deeply"),
        (b"[" * 200_000, "not JSON"),
        (b" " * (LARGEST_FILE + 1), "more than 1,048,576 bytes"),
    ],
)
def test_damaged_and_hostile_files_are_named_and_left_out(
    store: ProfileStore, content: bytes, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.save(make_profile("good"))
    (store.folder / "bad.json").write_bytes(content)
    with pytest.raises(InvalidProfileError, match=message) as raised:
        read_profile(store.folder / "bad.json")
    assert "bad.json" in str(raised.value)
    with caplog.at_level(logging.WARNING, "modelsat"):
        assert [profile.model for profile in store.load()] == ["good"]
    assert "bad.json" in caplog.text
    assert caplog.text.count("\n") == 1


_TEXT = st.text(max_size=8) | st.sampled_from(["MMLU", "self", "model", "accuracy", "\x1b", "\ud800"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT | st.floats(0, 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from([*CapabilityProfile.model_fields, "self", "__class__", "items"])
_STATEMENT = st.fixed_dictionaries(
    {"task": st.just("MMLU") | _VALUES, "accuracy": st.floats(0, 1) | _VALUES},
    optional={"items": st.integers() | _VALUES, "description": _VALUES, "source": _VALUES, "self": _VALUES},
)


@given(
    st.builds(
        lambda base, more: {**base, **more},
        st.fixed_dictionaries({"model": _TEXT, "statements": st.lists(_STATEMENT, max_size=3)}),
        st.dictionaries(_KEYS, _VALUES, max_size=3),
    )
)
def test_whatever_a_file_holds_it_is_a_usable_profile_or_refused(content: dict[str, object]) -> None:
    try:
        profile = parse_profile(json.dumps(content).encode("utf-8"))
    except InvalidProfileError:
        return
    equate(profile)
    assert profile.text().encode("utf-8")
    assert hash(profile) == hash(parse_profile(profile_json(profile).encode("utf-8")))


def test_contradictions_are_settled_and_named(store: ProfileStore, caplog: pytest.LogCaptureFixture) -> None:
    store.save(CapabilityProfile.from_benchmarks("a", {"MMLU": 0.5}, aliases=("B", "shared", "own")))
    store.save(CapabilityProfile.from_benchmarks("b", {"MMLU": 0.5}, aliases=("shared",)))
    copy = store.folder / "copy.json"
    copy.write_bytes(store.path("b").read_bytes().replace(b"0.5", b"0.7"))
    os.utime(copy, ns=(1, 1))
    with caplog.at_level(logging.WARNING, "modelsat"):
        first, second = store.load()
    assert (first.aliases, second.aliases) == (("shared", "own"), ())
    assert second.statements[0].accuracy == 0.5, "the one saved last"
    assert "two profiles of b" in caplog.text
    assert "the alias B of a is another profile's name" in caplog.text
    assert Registry(store.load()).find("shared").model == "a"


def test_a_full_disk_leaves_what_was_there(store: ProfileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(make_profile("mine", 0.5))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("modelsat.capability.store.os.fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device.*nothing there was changed.*MODELSAT_PROFILES"):
        store.save(make_profile("mine", 0.9))
    assert [profile.statements[0].accuracy for profile in store.load()] == [0.5]
    assert [entry.name for entry in store.folder.iterdir()] == [store.path("mine").name], "no half file is left"


def test_a_folder_that_is_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("x")
    store = ProfileStore(tmp_path / "file")
    with pytest.raises(StoreError, match="cannot save"):
        store.save(make_profile("mine"))
    assert store.load() == []
    assert "cannot be read" in caplog.text


def test_what_could_not_be_read_again_is_not_written(store: ProfileStore) -> None:
    with pytest.raises(InvalidProfileError, match="notes"):
        store.save(CapabilityProfile.from_benchmarks("mine", {"MMLU": 0.5}, notes="x" * 5000))
    assert not store.folder.exists()


def test_threads_and_processes_never_see_half_a_file(store: ProfileStore) -> None:
    script = (
        "import sys\nfrom modelsat.capability import CapabilityProfile, ProfileStore\n"
        "store = ProfileStore(sys.argv[1])\n"
        "for i in range(60):\n"
        "    figures = {f'task {n}': 0.5 for n in range(1 + 7 * (i % 9))}\n"
        "    store.save(CapabilityProfile.from_benchmarks('shared', figures, notes=f'{sys.argv[2]} {i}'))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(store.folder), name]) for name in ("p", "q")]
    stop = threading.Event()
    seen: list[str] = []

    def save_too() -> None:
        while not stop.is_set():
            store.save(CapabilityProfile.from_benchmarks("shared", {"MMLU": 0.5}, notes="thread"))

    thread = threading.Thread(target=save_too)
    thread.start()
    while any(writer.poll() is None for writer in writers):
        seen += [profile.notes for profile in store.load()]
    stop.set()
    thread.join()
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(seen) > 0
    assert [path.name for path in store.folder.iterdir()] == [store.path("shared").name]


def test_the_default_store_lies_over_the_shipped_registry_and_changes_are_noticed() -> None:
    shipped = Registry.default()
    assert shipped is Registry.shipped()
    store = ProfileStore.default()
    store.save(make_profile("brand-new", 0.5))
    merged = Registry.default()
    assert merged is Registry.default(), "read once as long as nothing changes"
    assert len(merged) == len(shipped) + 1
    store.save(make_profile("gpt-5", 0.123))
    assert Registry.default().find("openai/gpt-5").statements[0].accuracy == 0.123
    path = store.path("brand-new")
    path.write_text(path.read_text().replace("0.5", "0.25"))
    assert Registry.default().find("brand-new").statements[0].accuracy == 0.25, "edited by hand"
    assert Router(["brand-new", "gpt-4o"], scorer=FakeScorer()).route("Hi").scores.keys() == {"brand-new", "gpt-4o"}
    store.delete("brand-new")
    store.delete("gpt-5")
    assert Registry.default() is Registry.shipped()


def test_where_the_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_directory(tmp_path) == tmp_path
    monkeypatch.setenv("MODELSAT_PROFILES", str(tmp_path / "other"))
    assert ProfileStore.default().folder == tmp_path / "other"
    monkeypatch.delenv("MODELSAT_PROFILES")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert ProfileStore.default().folder == tmp_path / "modelsat" / "profiles"


def test_pretty_and_stable(store: ProfileStore) -> None:
    raw = json.loads(store.save(make_profile("mine")).read_text("utf-8"))
    assert set(raw) == {"model", "statements"}
