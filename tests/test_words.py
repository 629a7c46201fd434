"""The words of README and docs: British spelling, plain words, one spelling of each term, short sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
LONGEST = 45
"""Words of a sentence, at most; research notes, which list results, may go on for longer."""
RESEARCH = {"ablation", "core-tasks", "equating", "prices", "scale", "speed", "tokens", "traffic", "trust", "tuning"}
BRITISH_TOO = re.compile(
    r"analog|check|dialog|disk|drafts?|licen[cs]\w*|math|meters?|practice|programs?|routing|story|tire", re.IGNORECASE
)
"""American spellings of some words that are British spellings of others, or names of files and fields."""
BOASTS = (
    "amazing|best-in-class|blazing|cutting[- ]edge|effortless(?:ly)?|game[- ]chang\\w+|leverag\\w+|obviously|of course|"
    "powerful|revolutionary|seamless(?:ly)?|simply|state[- ]of[- ]the[- ]art|unparalleled|utili[sz]\\w+|world[- ]class"
)
TERMS = {
    r"data-?sets?": "data set",
    r"can not": "cannot",
    r"finetun\w+": "fine-tuning",
    r"(?:open AI|Open AI|Openai)": "OpenAI",
    r"(?:Langchain|Lang Chain)": "LangChain",
    r"(?:Litellm|Lite LLM|LiteLlm)": "LiteLLM",
    r"e-mails?": "email",
    r"pre-?trained": "trained",
}
"""What is written otherwise, as a pattern, and how."""


def prose(page: Path) -> str:
    """The text of a page without code, addresses, HTML and tables' rules."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"``.+?``|`[^`]+`", "CODE", text)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    return re.sub(r"\]\([^)]*\)|^\[\w+\]: .*$|<[^>]+>|https?://\S+", " ", text, flags=re.MULTILINE)


def american() -> re.Pattern[str]:
    """Spellings that codespell's table would turn British ones into."""
    table = resources.files("codespell_lib").joinpath("data/dictionary_en-GB_to_en-US.txt").read_text("utf-8")
    words = {word.strip() for line in table.splitlines() for word in line.partition("->")[2].split(",")} - {""}
    words = {word for word in words if not BRITISH_TOO.fullmatch(word)}
    return re.compile(rf"\b(?:{'|'.join(sorted(words))})\b", re.IGNORECASE)


def sentences(text: str) -> Iterator[str]:
    """Sentences of paragraphs and lists; rows of tables and headings are none."""
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.) )", text):
        if not block.lstrip().startswith(("|", "#")):
            yield from re.split(r"(?<=[.!?])(?:\*\*)?\s+", " ".join(block.split()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_words(page: Path) -> None:
    text = prose(page)
    found = [f"{word}: British spelling" for word in american().findall(text)]
    found += [f"{word}: say what it does" for word in re.findall(rf"\b(?:{BOASTS})\b", text, re.IGNORECASE)]
    found += [f"{word}: {right}" for wrong, right in TERMS.items() for word in re.findall(rf"\b{wrong}\b", text)]
    if page.stem not in RESEARCH:
        found += [f"{len(one.split())} words: {one[:60]}" for one in sentences(text) if len(one.split()) > LONGEST]
    assert found == []
