"""What ``modelsat route`` prints, as an SVG: a real run with the weights that ship."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI, SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

from .style import FOLDER

COMMANDS = (
    ["route", "Find all positive integers n such that n divides 2^n - 1."],
    ["route", "What is the capital of Australia?"],
)
OPTIONS = ["--models", "gpt-5.6-sol,gpt-5.6-luna", "--policy", "cheapest(target=0.9)"]
WIDTH = 92
_FORM = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>What modelsat route prints</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own form without the fonts that it would load from a server."""
_ANSI = ("1f2430", "b3261e", "2e7d32", "b35309", "2f4fc4", "7b3fa0", "00796b", "5c6672")
LIGHT = TerminalTheme((250, 250, 252), (31, 36, 48), [tuple(bytes.fromhex(colour)) for colour in _ANSI])


def save() -> None:
    """Run the commands and draw what they print."""
    for name, theme in (("light", LIGHT), ("dark", SVG_EXPORT_THEME or DIMMED_MONOKAI)):
        with Path(os.devnull).open("w") as nowhere:
            console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
            for command in COMMANDS:
                console.print(Text(f'$ modelsat route "{command[1]}" \\\n    {_shown()}', "bold"))
                console.print(Text.from_ansi(_printed(command)))
        file = FOLDER / f"route-{name}.svg"
        FOLDER.mkdir(exist_ok=True)
        svg = console.export_svg(title="", theme=theme, code_format=_FORM, unique_id="modelsat")
        file.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", "utf-8")
        print(file)


def _shown() -> str:
    return f'--models {OPTIONS[1]} --policy "{OPTIONS[3]}"'


def _printed(command: list[str]) -> str:
    environment = {**os.environ, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    run = [sys.executable, "-m", "modelsat", *command, *OPTIONS]
    said = subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout
    return re.split(r"\n[^\n]*policy [a-z]+, ", said)[0] + "\n"  # the last line holds this machine's time
