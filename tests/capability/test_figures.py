"""Published figures as people write them: percent or shares, never both; known names or the closest ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelsat.capability.figures import closest_benchmarks, parse_benchmarks, profile_of_figures, read_figures
from modelsat.errors import InvalidProfileError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GPQA=71.2, LiveCodeBench=62", {"GPQA": 0.712, "LiveCodeBench": 0.62}),
        ("gpqa diamond = .712; livecodebench=0.62", {"GPQA": 0.712, "LiveCodeBench": 0.62}),
        ("GPQA=71.2\nHumanity's Last Exam=0.8%", {"GPQA": 0.712, "Humanity's Last Exam": 0.008}),
        ("GPQA=0, MMLU=40", {"GPQA": 0.0, "MMLU": 0.4}),
        ("GPQA=1.0, MMLU=0.4", {"GPQA": 1.0, "MMLU": 0.4}),
        ("GPQA=100, MMLU=1%", {"GPQA": 1.0, "MMLU": 0.01}),
        ("GPQA=1%", {"GPQA": 0.01}),
        ("GPQA=0", {"GPQA": 0.0}),
    ],
)
def test_percent_and_shares_are_told_apart(text: str, expected: dict[str, float]) -> None:
    assert {figure.benchmark: figure.accuracy for figure in parse_benchmarks(text)} == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "GPQA=71.2, MMLU=0.8",
            r"mixed: GPQA=71.2 is in percent, MMLU=0.8 looks like a share. Write MMLU=80 .*MMLU=0.8%",
        ),
        ("GPQA=0.5, MMLU=1%", "mixed"),
        ("GPQA=1, MMLU=40", "mixed"),
        ("GPQA=1", "write 1% or 100%"),
        ("MT-Bench=1250", r"MT-Bench=1250: an accuracy is at most 100 percent; ratings .Elo. cannot"),
        ("GPQA=-3", "negative"),
        ("GPQA=nan", "not a number"),
        ("GPQA=1e9", "at most 100"),
        ("GPQA=71,2", r"'2': write decimals with a point"),
        ("GPQA", "NAME=VALUE"),
        ("=4", "NAME=VALUE"),
        (" , ", "no figures"),
        ("GPQA=50, gpqa diamond=60", r"GPQA is given twice .50 and 60."),
        (
            "LiveCodBench=40",
            r"no benchmark is known as 'LiveCodBench': the closest are LiveCodeBench,.*--allow-unknown",
        ),
        ("Tickets of the help desk=40", r"modelsat profile benchmarks"),
    ],
)
def test_what_cannot_be_right_is_explained(text: str, message: str) -> None:
    with pytest.raises(InvalidProfileError, match=message):
        parse_benchmarks(text)


def test_units_and_own_benchmarks_by_word() -> None:
    assert parse_benchmarks("GPQA=0.8, MMLU=1", unit="percent")[0].accuracy == pytest.approx(0.008)
    assert parse_benchmarks("GPQA=1", unit="share")[0].accuracy == 1.0
    with pytest.raises(InvalidProfileError, match=r"GPQA=71 is not a share: write 0.71"):
        parse_benchmarks("GPQA=71", unit="share")
    assert parse_benchmarks("Help desk=40", allow_unknown=True)[0].benchmark == "Help desk"
    assert "LiveCodeBench" in closest_benchmarks("live code")


def test_a_table_with_one_row_a_model(tmp_path: Path) -> None:
    path = tmp_path / "figures.csv"
    path.write_text('\ufeffModel,GPQA,LiveCodeBench\na,71.2,62\n"b, new",,40.5\n', "utf-8")
    found = read_figures(path)
    assert {m: {f.benchmark: f.accuracy for f in fs} for m, fs in found.items()} == {
        "a": {"GPQA": 0.712, "LiveCodeBench": 0.62},
        "b, new": {"LiveCodeBench": 0.405},
    }


def test_a_table_with_one_row_a_figure(tmp_path: Path) -> None:
    path = tmp_path / "figures.csv"
    path.write_text(
        "model,benchmark,accuracy,items,source\na,gpqa,0.7,448,card\na,MMLU,0.5,,\nb,MMLU,1,100,\n", "utf-8"
    )
    found = read_figures(path)
    assert [(f.benchmark, f.accuracy, f.items, f.source) for f in found["a"]] == [
        ("GPQA", 0.7, 448, "card"),
        ("MMLU", 0.5, None, ""),
    ]
    profile = profile_of_figures("a", found["a"], source="table", tested_by="ana", notes="")
    assert [s.source for s in profile.statements] == ["card", "table"]
    assert (profile.tested_by, profile.provenance) == ("ana", "published figures")
    assert profile.version.startswith("modelsat ")
    assert len(profile.date) == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no rows"),
        ("model,GPQA\n", "no rows"),
        ("name,GPQA\na,5\n", r"no column 'model'; its columns are 'name', 'gpqa'"),
        ("model,GPQA\n,50\n", "line 2 names no model"),
        ("model,GPQA\na,50,60\n", "line 2 has more cells"),
        ("model,GPQA\na,\n", "no figures"),
        ("model,GPQA,MMLU\na,50,60\nb,0.5,0.6\n", "a: GPQA=50 is in percent, b: GPQA=0.5 looks like a share"),
        ("model,GPQAX\na,50\n", "a: no benchmark is known as 'GPQAX': the closest are GPQA"),
        ("model,GPQA\na,50\na,60\n", "a: GPQA is given twice"),
        ("model,GPQA\na,fifty\n", "a: GPQA=fifty is not a number"),
        ("model,benchmark,accuracy,items\na,GPQA,50,many\n", "items of GPQA must be a whole number"),
        ('model,GPQA\n"a,50\n', "cannot read"),
    ],
)
def test_tables_that_cannot_be_right(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "figures.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(InvalidProfileError, match=message) as raised:
        read_figures(path)
    assert str(path) in str(raised.value)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("bytes.csv", "missing.csv"):
        with pytest.raises(InvalidProfileError, match="cannot read"):
            read_figures(tmp_path / name)
