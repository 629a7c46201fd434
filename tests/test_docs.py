"""The pages of the docs keep to their form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md"))


def test_no_table_row_is_longer_than_a_reader_can_follow() -> None:
    rows = [
        (path.name, number)
        for path in PAGES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if line.startswith("|") and len(line) > 200
    ]
    assert rows == []


@pytest.mark.parametrize("path", [path for path in PAGES if path.parent.name != "design"], ids=lambda path: path.stem)
def test_a_page_says_whom_it_is_for(path: Path) -> None:
    title, lead = path.read_text("utf-8").split("\n\n")[:2]
    assert re.fullmatch(r"# \S.*", title)
    assert lead.startswith("**For ")


def test_a_picture_says_what_it_shows() -> None:
    for path in PAGES:
        for alt in re.findall(r"!\[(.*?)\]", path.read_text("utf-8")):
            assert len(alt.split()) > 4, f"{path.name}: {alt!r}"
