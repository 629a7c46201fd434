"""The cache of capability embeddings: encodes what is missing, survives damage, shares its folder."""

from __future__ import annotations

import multiprocessing
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ScoringError
from modelsat.storage.cache import CapabilityCache, cache_directory
from tests.fakes import FakeEncoder, make_profile

PROFILES = [make_profile(f"m{i}", i / 10) for i in range(5)]
EXPECTED = FakeEncoder()(PROFILES)


def files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.*"))


def test_only_what_is_missing_is_encoded(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    cache = CapabilityCache("w@1", tmp_path)
    np.testing.assert_array_equal(cache.get_or_encode(PROFILES[:2], encoder), EXPECTED[:2])
    np.testing.assert_array_equal(cache.get_or_encode(PROFILES, encoder), EXPECTED)
    np.testing.assert_array_equal(cache.get_or_encode(PROFILES[::-1], encoder), EXPECTED[::-1])
    assert encoder.encoded == [2, 3]
    later = FakeEncoder()
    rows = CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, later)
    np.testing.assert_array_equal(rows, EXPECTED)
    assert rows.dtype == np.float32
    assert later.encoded == []
    assert {file.suffix for file in files(tmp_path)} == {".bin"}


def test_another_version_shares_nothing(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, encoder)
    CapabilityCache("w/../@\ud8002", tmp_path).get_or_encode(PROFILES, encoder)
    assert encoder.encoded == [5, 5]
    assert len(files(tmp_path)) == 10


def test_equal_statements_share_an_embedding(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    twins = [make_profile("a", 0.5), make_profile("b", 0.5)]
    rows = CapabilityCache("w@1", tmp_path).get_or_encode(twins, encoder)
    np.testing.assert_array_equal(rows[0], rows[1])
    assert encoder.encoded == [1]


DAMAGE = {
    "empty": b"",
    "text": b"not an embedding",
    "zeros": b"\x00" * 64,
    "large": b"\x00" * (1 << 21),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_recomputed(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, FakeEncoder())
    files(tmp_path)[2].write_bytes(DAMAGE[damage])
    check_one_recomputed(tmp_path, caplog)


def test_one_changed_bit_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, FakeEncoder())
    content = bytearray(files(tmp_path)[2].read_bytes())
    content[-1] ^= 1
    files(tmp_path)[2].write_bytes(content)
    check_one_recomputed(tmp_path, caplog)


def test_embeddings_of_two_profiles_that_were_exchanged_are_noticed(tmp_path: Path) -> None:
    CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, FakeEncoder())
    first, second = files(tmp_path)[:2]
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    encoder = FakeEncoder()
    rows = CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, encoder)
    np.testing.assert_array_equal(rows, EXPECTED)
    assert encoder.encoded == [2]


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_what_others_may_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "cache"
    CapabilityCache("w@1", root).get_or_encode(PROFILES, FakeEncoder())
    assert [stat.S_IMODE(path.stat().st_mode) for path in (root, root / "capabilities")] == [0o700, 0o700]
    for place in (root, root / "capabilities", files(root)[0]):
        mode = place.stat().st_mode
        place.chmod(mode | 0o022)
        caplog.clear()
        encoder = FakeEncoder()
        rows = CapabilityCache("w@1", root).get_or_encode(PROFILES, encoder)
        np.testing.assert_array_equal(rows, EXPECTED)
        assert sum(encoder.encoded) > 0
        assert caplog.text.count("may be written by others") == 1
        place.chmod(mode)
    (root / "capabilities").chmod(0o777)
    monkeypatch.setenv("MODELSAT_CACHE_SHARED", "1")
    trusting = FakeEncoder()
    CapabilityCache("w@1", root).get_or_encode(PROFILES, trusting)
    assert trusting.encoded == []


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_written_is_used_again_whatever_the_umask(tmp_path: Path, linked: bool) -> None:
    root = tmp_path / "cache"
    before = os.umask(0o002)
    try:
        CapabilityCache("w@1", root).get_or_encode(PROFILES, FakeEncoder())
    finally:
        os.umask(before)
    assert not any(file.stat().st_mode & 0o022 for file in files(root))
    if linked:
        (tmp_path / "link").symlink_to(root)
        root = tmp_path / "link"
    encoder = FakeEncoder()
    CapabilityCache("w@1", root).get_or_encode(PROFILES, encoder)
    assert encoder.encoded == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(tmp_path: Path) -> None:
    CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, FakeEncoder())
    pipe = files(tmp_path)[0]
    pipe.unlink()
    os.mkfifo(pipe, 0o600)
    encoder = FakeEncoder()
    CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, encoder)
    assert encoder.encoded == [1]


def check_one_recomputed(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = FakeEncoder()
    rows = CapabilityCache("w@1", directory).get_or_encode(PROFILES, encoder)
    np.testing.assert_array_equal(rows, EXPECTED)
    assert encoder.encoded == [1]
    assert "encoding again" in caplog.text
    again = FakeEncoder()
    CapabilityCache("w@1", directory).get_or_encode(PROFILES, again)
    assert again.encoded == []


def test_a_wrong_width_is_encoded_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, FakeEncoder())
    other = tmp_path / "other"
    CapabilityCache("w@1", other).get_or_encode(PROFILES[2:3], lambda profiles: np.zeros((1, 3), np.float32))
    (narrow,) = files(other)
    narrow.replace(next(path for path in files(tmp_path) if path.name == narrow.name and path != narrow))
    encoder = FakeEncoder()
    rows = CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, encoder)
    np.testing.assert_array_equal(rows, EXPECTED)
    assert encoder.encoded == [5]
    assert "wrong width" in caplog.text


def test_a_folder_that_cannot_be_written_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    encoder = FakeEncoder()
    cache = CapabilityCache("w@1", blocked)
    np.testing.assert_array_equal(cache.get_or_encode(PROFILES[:3], encoder), EXPECTED[:3])
    np.testing.assert_array_equal(cache.get_or_encode(PROFILES, encoder), EXPECTED)
    assert encoder.encoded == [3, 2]
    assert caplog.text.count("cannot write") == 1


def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(source: str, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    rows = CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, FakeEncoder())
    np.testing.assert_array_equal(rows, EXPECTED)
    assert files(tmp_path) == []
    assert "disk full" in caplog.text


@pytest.mark.parametrize("rows", [np.zeros((4, 8)), np.zeros(5), np.zeros((5, 0)), np.full((5, 8), np.inf)])
def test_an_encoder_that_misbehaves(tmp_path: Path, rows: NDArray) -> None:
    with pytest.raises(ScoringError):
        CapabilityCache("w@1", tmp_path).get_or_encode(PROFILES, lambda profiles: rows)
    assert files(tmp_path) == []


def test_threads(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    cache = CapabilityCache("w@1", tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for rows in pool.map(lambda _: cache.get_or_encode(PROFILES, encoder), range(16)):
            np.testing.assert_array_equal(rows, EXPECTED)
    assert encoder.encoded == [5]


def _encode(profiles: Sequence[CapabilityProfile]) -> NDArray[np.float32]:
    return FakeEncoder()(profiles)


def _in_a_process(directory: str) -> bool:
    for _ in range(20):
        rows = CapabilityCache("w@1", directory).get_or_encode(PROFILES, _encode)
        if not np.array_equal(rows, EXPECTED):
            return False
        for file in Path(directory).rglob("*.bin"):
            file.unlink(missing_ok=True)
    return True


def test_several_processes_share_the_folder(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(_in_a_process, [str(tmp_path)] * 3) == [True] * 3
    assert not list(tmp_path.rglob("*.tmp"))


def test_in_memory_alone_nothing_is_written(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    cache = CapabilityCache("w@1", tmp_path, on_disk=False)
    for _ in range(2):
        np.testing.assert_array_equal(cache.get_or_encode(PROFILES, encoder), EXPECTED)
    assert encoder.encoded == [5]
    assert files(tmp_path) == []


def test_one_process_writes_a_bounded_number_of_embeddings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelsat.storage.cache._WRITTEN", 3)
    cache = CapabilityCache("w@1", tmp_path)
    for profile, expected in zip(PROFILES, EXPECTED, strict=True):
        np.testing.assert_array_equal(cache.get_or_encode([profile], FakeEncoder())[0], expected)
    assert len(files(tmp_path)) == 3


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELSAT_CACHE_DIR", str(tmp_path / "environment"))
    assert cache_directory() == tmp_path / "environment"
    assert cache_directory(tmp_path) == tmp_path
    monkeypatch.delenv("MODELSAT_CACHE_DIR")
    assert cache_directory().name == "modelsat"
