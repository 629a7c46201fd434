"""What the base install lacks is asked for by name, and only where it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WITHOUT_PYARROW = "import sys\nsys.modules['pyarrow'] = None\n"


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_PYARROW + script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_routing_and_feedback_need_no_pyarrow(tmp_path: Path) -> None:
    script = (
        "from modelsat import Router\n"
        "router = Router(['gpt-4o', 'gpt-4o-mini'], feedback=sys.argv[1])\n"
        "decision = router.route('What is 2 + 2?')\n"
        "router.feedback(decision.id, 1.0)\n"
        "print(decision.model)\n"
    )
    done = run(script, tmp_path / "feedback.sqlite")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("gpt-4o")


def test_the_command_line_names_the_extra_for_parquet(tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text("item_id,prompt\n1,Hi\n", "utf-8")
    script = "from modelsat.cli import main\nsys.argv[0] = 'modelsat'\nmain()\n"
    done = run(script, "score", items, "-m", "gpt-4o", "-o", tmp_path / "scores.parquet")
    assert done.returncode == 2
    assert 'pip install "modelsat[tables]"' in done.stderr
    shown = run(script, "show", "gpt-4o")
    assert shown.returncode == 0, shown.stderr


def test_every_import_of_the_package_is_declared() -> None:
    """Every third-party package that ``src`` imports stands in pyproject.toml."""
    import ast
    import re

    root = Path(__file__).parents[1]
    declared = set(
        re.findall(r'"([a-z][a-z0-9-]*)(?:\[[^"]*\])?(?:[<>=;~][^"]*)?"', (root / "pyproject.toml").read_text())
    )
    names = {"yaml": "pyyaml", "sklearn": "scikit-learn", "starlette": "fastapi", "opentelemetry": "opentelemetry-api"}
    ours = {"modelsat", "langchain_modelsat", "litellm_modelsat"}
    imported = set()
    for path in (root / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                imported.add(node.module.partition(".")[0])
    imported -= ours | set(sys.stdlib_module_names)
    missing = {name for name in imported if names.get(name, name.replace("_", "-")) not in declared}
    assert not missing
