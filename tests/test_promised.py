"""What is promised is what ``__all__`` says: documentation and examples use nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORT = re.compile(
    r"^[ >\"]*from ((?:modelsat|langchain_modelsat|litellm_modelsat)[\w.]*) import (\([^)]*\)|.*)", re.M
)
REFERENCE = re.compile(r"^::: ([\w.]+)", re.M)
NOT_API = {"modelsat.cli"}
"""Imported by scripts that print its help texts."""


def promised() -> dict[str, list[str]]:
    """Names in ``__all__``, or exported at first use, by module."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text("utf-8")).body:
            names = [ast.unparse(target) for target in node.targets] if isinstance(node, ast.Assign) else []
            if "__all__" in names or ("_EXPORTS" in names and path.name == "__init__.py"):
                found.setdefault(module, []).extend(ast.literal_eval(node.value))
    return found


def documented() -> Iterator[tuple[str, str, str]]:
    """File, module and name of each import, and of each entry of the reference."""
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb")]
    for path in sorted([*files, *(ROOT / "examples").rglob("*.*")]):
        if not path.is_file() or "node_modules" in path.parts:
            continue
        text = path.read_text("utf-8", errors="ignore").replace("\\n", "\n")
        for module, names in IMPORT.findall(text):
            for name in re.findall(r"\w+", re.sub(r"#.*| as \w+|\"", "", names)):
                yield path.name, module, name
        for entry in REFERENCE.findall(text):
            module, _, name = entry.rpartition(".")
            yield path.name, module, name


def test_what_is_documented_is_promised() -> None:
    names = promised()
    used = list(documented())
    assert len(used) > 50
    missing = [
        f"{file}: {module}.{name}"
        for file, module, name in used
        if module not in NOT_API and f"{module}.{name}" not in names and name not in names.get(module, ())
    ]
    assert missing == []
