from __future__ import annotations

import subprocess
import sys

import pytest

from modelsat import __version__
from modelsat.cli import main
from tests.cli.conftest import Run

COMMANDS = ("route", "models", "show", "score")


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"modelsat {__version__}\n")


def test_help_names_every_command(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert all(command in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Examples" in result.stdout
    assert f"modelsat {command} " in result.stdout


def test_help_loads_neither_network_nor_tables() -> None:
    script = "import sys, modelsat.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert {"onnxruntime", "pyarrow", "numpy", "pydantic", "torch"}.isdisjoint(loaded.stdout.split())


def test_the_entry_point(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["modelsat", "show", "no-such-model"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: no capability profile is known for 'no-such-model'")
    assert captured.err.count("\n") == 3
