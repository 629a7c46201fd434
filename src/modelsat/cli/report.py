"""``modelsat report``: what came of a shadow, a canary or an experiment."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelsat.cli.console import JSONOption, output

if TYPE_CHECKING:
    from modelsat.feedback.summary import Arm, Difference, Mean

EXAMPLES = """[bold]Examples[/]

modelsat report feedback.sqlite

modelsat report feedback.sqlite --days 7 --json
"""
_SHOWN = {"cost": "cost, USD", "p": "P(success)", "feedback": "feedback", "elapsed_ms": "decided in, ms"}


def report(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The SQLite file of a feedback store.")],
    days: Annotated[
        float | None, typer.Option(min=0, help="Only the decisions of so many days; all by default.")
    ] = None,
    as_json: JSONOption = False,
) -> None:
    """Compare the arms of a trial: cost, P(success), feedback and time of a request, and what a shadow would save.

    Intervals hold at all times at once, so that looking every day finds no difference by chance. A conversation is one
    observation. Where a difference is not settled, the trial goes on.
    """
    from modelsat.errors import ConfigurationError
    from modelsat.feedback import open_store
    from modelsat.feedback.base import QueryableStore
    from modelsat.feedback.summary import arms

    opened = open_store(store, create=False)
    try:
        if not isinstance(opened, QueryableStore):
            raise ConfigurationError(f"{opened.name}: reports are made of SQLite files")
        found = arms(opened, 0.0 if days is None else time.time() - 86400.0 * days)
    finally:
        opened.close()
    if not found:
        raise ConfigurationError(
            f"{opened.name} holds no trial: give a router shadow=, canary= or experiment= (docs/trials.md)"
        )
    if as_json:
        typer.echo(json.dumps(_content(found), indent=1))
    else:
        _show(found)


def _content(found: Sequence[Arm]) -> dict[str, Any]:
    def said(of: Mean | Difference) -> dict[str, Any]:
        return {"value": of.value, "interval": of.interval and list(of.interval)}

    return {
        "arms": {
            arm.name: {
                name: {"requests": mean.requests, "threads": mean.threads, **said(mean)}
                for name, mean in arm.means.items()
            }
            for arm in found
        },
        "differences": [
            {"arm": arm.name, "against": first.name, "measure": name, "settled": difference.settled, **said(difference)}
            for first, arm, name, difference in _pairs(found)
        ],
    }


def _pairs(found: Sequence[Arm]) -> list[tuple[Arm, Arm, str, Difference]]:
    """Every arm against the first: the shadow where there is one."""
    first = next((arm for arm in found if arm.name == "shadow"), found[0])
    return [
        (first, arm, name, arm.means[name].less(first.means[name]))
        for arm in found
        if arm is not first
        for name in _SHOWN
        if name in arm.means and name in first.means
    ]


def _show(found: Sequence[Arm]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("arm")
    for name in ("threads", "requests", *_SHOWN.values()):
        table.add_column(name, justify="right", no_wrap=True)
    for arm in found:
        size = next(iter(arm.means.values()))
        cells = [_number(arm.means[name]) if name in arm.means else "–" for name in _SHOWN]
        table.add_row(escape(arm.name), f"{size.threads:,}", f"{size.requests:,}", *cells)
    lines = []
    for arm in found:
        if arm.name == "shadow" and "saved" in arm.means:
            saved, cost, risked = arm.means["saved"], arm.means["cost"].value, arm.means.get("risked")
            share = f"{saved.value / cost:.0%} of the cost" if cost > 0 else "nothing was spent"
            risk = "" if risked is None else f", and P(success) would have changed by {-risked.value:.3g}"
            lines.append(f"routing would have saved {_number(saved)} USD a request ({share}){risk}")
    for first, arm, name, difference in _pairs(found):
        verdict = "enough data" if difference.settled else "not settled, go on"
        result = f"{_number(difference)}, {verdict}" if difference.interval else "too few threads to say"
        lines.append(f"{arm.name} against {first.name}, {_SHOWN[name]}: {result}")
    console = output()
    console.print(table)
    console.print()
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print("[dim]intervals: 95 %, at all times at once; of fewer than 30 threads nothing is said[/]")


def _number(of: Mean | Difference) -> str:
    interval = "" if of.interval is None else f" [{of.interval[0]:.3g}, {of.interval[1]:.3g}]"
    return f"{of.value:.3g}{interval}"
