"""Charts as SVG, made on the server: shapes and classes, coloured by the style sheet, with a title that is read out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone

from markupsafe import Markup

_WIDTH, _HEIGHT = 560.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 14.0, 12.0, 30.0
_COLOURS = 8
"""Classes ``c0`` to ``c7`` of the style sheet; the last stands for all others."""
_SVG = Markup('<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">')
_RECT = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}">{}</rect>')
_CIRCLE = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" class="{}">{}</circle>')
_LINE = Markup('<polyline points="{}" class="{}"/>')
_TEXT = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
_TIP = Markup("<title>{}</title>")
_HALVES = ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))
Place = tuple[float, float]


class Drawing:
    """An SVG in the making.

    Args:
        title: What it shows, read out in its place.
        height: Height where the width is 560.
        marks: Marks on the left, each a share of the height and its words, with a line across.
        below: Marks below, each a share of the width and its words.
    """

    def __init__(
        self,
        title: str,
        height: float = _HEIGHT,
        *,
        marks: Sequence[tuple[float, str]] = (),
        below: Sequence[tuple[float, str]] = (),
    ) -> None:
        self.height = height
        self._parts = [_SVG.format(_WIDTH, height, title)]
        for share, words in marks:
            self.line([self.at(0, share), self.at(1, share)], "grid")
            self.text(self.x(0) - 6, self.y(share) + 4, words, "mark", "end")
        for share, words in below:
            anchor = "start" if share < 0.04 else "end" if share > 0.96 else "middle"
            self.text(self.x(share), height - 10, words, "mark", anchor)

    def x(self, share: float) -> float:
        """Place of a share of the width, 0..1."""
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, share: float) -> float:
        """Place of a share of the height, 0 at the bottom."""
        return self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM)

    def at(self, across: float, up: float) -> Place:
        """Place of a share of the width and one of the height."""
        return self.x(across), self.y(up)

    def rect(self, x: float, y: float, width: float, height: float, kind: str, tip: str) -> None:
        """A rectangle, in places; ``tip`` is shown by a pointer that rests on it."""
        self._parts.append(_RECT.format(x, y, max(0.0, width), max(0.0, height), kind, _TIP.format(tip)))

    def circle(self, place: Place, radius: float, kind: str, tip: str) -> None:
        """A circle around a place."""
        self._parts.append(_CIRCLE.format(*place, radius, kind, _TIP.format(tip)))

    def line(self, places: Sequence[Place], kind: str) -> None:
        """A line through places."""
        self._parts.append(_LINE.format(" ".join(f"{x:.1f},{y:.1f}" for x, y in places), kind))

    def text(self, x: float, y: float, words: str, kind: str, anchor: str = "middle") -> None:
        """Words at a place."""
        self._parts.append(_TEXT.format(x, y, anchor, kind, words))

    def done(self) -> Markup:
        """The drawing."""
        return Markup("").join([*self._parts, Markup("</svg>")])


def colours(names: Sequence[str]) -> dict[str, str]:
    """Choose a class for each name; those beyond the first seven share the last."""
    return {name: f"c{min(position, _COLOURS - 1)}" for position, name in enumerate(names)}


def shares(title: str, series: Mapping[int, Mapping[str, float]], names: Sequence[str], step: int) -> Markup:
    """Draw how much each name has of each point in time, as stacked bars.

    Args:
        title: What it shows.
        series: Counts by name, for each time in hours since the epoch.
        names: All names, the largest first.
        step: Hours from one time to the next.
    """
    marks = ((0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %"))
    first, last = min(series), max(series)
    drawing = Drawing(title, marks=marks, below=_ends(first, last, step))
    kinds, bars = colours(names), 1 + (last - first) // step
    width = (drawing.x(1) - drawing.x(0)) / bars
    for hour, counts in series.items():
        total, bottom = sum(counts.values()) or 1.0, 0.0
        left = drawing.x(0) + (hour - first) // step * width
        for name in names:
            if share := counts.get(name, 0.0) / total:
                tip = f"{_when(hour, step)}: {name} {100 * share:.0f} % of {total:,.0f}"
                top = drawing.y(bottom + share)
                drawing.rect(left + 0.5, top, max(1.0, width - 1.0), drawing.y(bottom) - top, kinds[name], tip)
                bottom += share
    return drawing.done()


def sums(title: str, series: Mapping[int, Sequence[float]], kinds: Sequence[str], step: int) -> Markup:
    """Draw amounts in USD summed up over time, one line for each of ``kinds``.

    Args:
        title: What it shows.
        series: An amount for each of ``kinds``, by time in hours since the epoch.
        kinds: Classes of the lines.
        step: Hours from one time to the next.
    """
    so_far = [0.0] * len(kinds)
    summed = {min(series) - step: so_far}
    for hour, amounts in sorted(series.items()):
        so_far = [before + amount for before, amount in zip(so_far, amounts, strict=True)]
        summed[hour] = so_far
    top = _nice(max(so_far))
    first, last = min(summed), max(summed)
    marks = [(share, usd(top * share)) for share in (0.0, 0.5, 1.0)]
    drawing = Drawing(title, marks=marks, below=_ends(first + step, last, step))
    for column, kind in enumerate(kinds):
        drawing.line(
            [drawing.at((hour - first) / (last - first), amounts[column] / top) for hour, amounts in summed.items()],
            f"line {kind}",
        )
    return drawing.done()


def averages(title: str, series: Mapping[int, Mapping[str, float]], names: Sequence[str], step: int) -> Markup:
    """Draw means, 0..1, over time, one line for each name; times without a mean are passed over.

    Args:
        title: What it shows.
        series: A mean by name, for each of at least two times in hours since the epoch.
        names: All names, which gives the colours.
        step: Hours from one time to the next.
    """
    first, last = min(series), max(series)
    drawing = Drawing(title, marks=_HALVES, below=_ends(first, last, step))
    for name, kind in colours(names).items():
        found = [(hour, means[name]) for hour, means in sorted(series.items()) if name in means]
        places = [drawing.at((hour - first) / (last - first), mean) for hour, mean in found]
        drawing.line(places, f"line {kind}")
        for place, (hour, mean) in zip(places, found, strict=True):
            drawing.circle(place, 3.5, f"{kind} dot", f"{_when(hour, step)}: {name} {mean:.2f}")
    return drawing.done()


def reliability(title: str, bins: Sequence[tuple[float, float, float]]) -> Markup:
    """Draw feedback against P(success): points on the diagonal are as good as promised.

    Args:
        title: What it shows.
        bins: Mean P(success), mean feedback and count of each.
    """
    drawing = Drawing(title, marks=_HALVES, below=((0.0, "P 0"), *_HALVES[1:]))
    drawing.line([drawing.at(0, 0), drawing.at(1, 1)], "grid")
    most = max(count for *_, count in bins)
    drawing.line([drawing.at(expected, score) for expected, score, _ in bins], "line c0")
    for expected, score, count in bins:
        tip = f"P {expected:.2f}: feedback {score:.2f} over {count:,.0f}"
        drawing.circle(drawing.at(expected, score), 3.0 + 6.0 * math.sqrt(count / most), "c0 dot", tip)
    return drawing.done()


def columns(title: str, counts: Sequence[tuple[str, float]]) -> Markup:
    """Draw counts as columns, each with its words below."""
    total, most = sum(count for _, count in counts), max(count for _, count in counts)
    drawing = Drawing(title, marks=[(0.0, "0 %"), (1.0, f"{100 * most / total:.0f} %")])
    width = (drawing.x(1) - drawing.x(0)) / len(counts)
    for position, (words, count) in enumerate(counts):
        left, top = drawing.x(0) + position * width, drawing.y(count / most)
        drawing.rect(left + 2, top, width - 4, drawing.y(0) - top, "c0", f"{words}: {count:,.0f}")
        drawing.text(left + width / 2, drawing.height - 10, words, "mark thin" if position % 2 else "mark")
    return drawing.done()


def choices(
    title: str, points: Sequence[tuple[str, float, float, float, float]], chosen: str, frontier: Sequence[str]
) -> Markup:
    """Draw candidates by expected cost (on a logarithmic scale) and P(success).

    Args:
        title: What it shows.
        points: Name, expected USD, P(success), and the ends of its interval, of each candidate.
        chosen: The one that answers.
        frontier: Those that no other beats in both, by cost.
    """
    floor = min(0.75, max(0.0, math.floor(4 * min(low for *_, low, _ in points)) / 4))
    costs = [max(cost, 1e-9) for _, cost, *_ in points]
    left, end = math.log10(min(costs)) - 0.15, math.log10(max(costs)) + 0.15

    def across(cost: float) -> float:
        return (math.log10(max(cost, 1e-9)) - left) / (end - left)

    def up(p: float) -> float:
        return (min(1.0, max(floor, p)) - floor) / (1.0 - floor)

    marks = [(step / 5, f"{floor + (1 - floor) * step / 5:.2f}") for step in range(6)]
    drawing = Drawing(title, 300.0, marks=marks, below=_decades(min(costs), max(costs), across))
    place = {name: drawing.at(across(cost), up(p)) for name, cost, p, *_ in points}
    drawing.line([place[name] for name in frontier], "line frontier")
    for name, cost, p, low, high in points:
        drawing.line([drawing.at(across(cost), up(low)), drawing.at(across(cost), up(high))], "doubt")
        radius, kind = (7.0, "chosen dot") if name == chosen else (5.0, "dot")
        drawing.circle(place[name], radius, kind, f"{name}: P {p:.2f}, {usd(cost)}")
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in place.values()]
    for name, *_ in sorted(points, key=lambda point: point[0] != chosen):
        words = name if len(name) <= 24 else f"{name[:23]}…"
        for right, above in ((True, True), (True, False), (False, True), (False, False)):
            x, y = place[name][0] + (11 if right else -11), place[name][1] + (-8 if above else 17)
            box = (x - (0 if right else 7 * len(words)), y - 11, x + (7 * len(words) if right else 0), y + 2)
            if box[0] >= _LEFT and box[2] <= _WIDTH and not any(_overlap(box, other) for other in taken):
                drawing.text(x, y, words, "label", "start" if right else "end")
                taken.append(box)
                break
    return drawing.done()


def steps(title: str, marks: Sequence[tuple[float, str]], at: float | None, names: Sequence[str]) -> Markup:
    """Draw who is chosen as a knob moves from one end to the other, as one band.

    Args:
        title: What it shows.
        marks: Where the choice changes, as a share of the way, and who is chosen from there on.
        at: Where the knob stands, as a share of the way.
        names: All names, which gives the colours.
    """
    drawing, kinds = Drawing(title, 64.0), colours(names)
    ends = [*(share for share, _ in marks[1:]), 1.0]
    for (start, name), end in zip(marks, ends, strict=True):
        drawing.rect(drawing.x(start), 12, drawing.x(end) - drawing.x(start), 22, kinds[name], name)
    if at is not None:
        drawing.line([(drawing.x(at), 6), (drawing.x(at), 40)], "needle")
    return drawing.done()


def bar(share: float, low: float, high: float, kind: str = "c0") -> Markup:
    """Draw a share, 0..1, as a bar that fills its cell, with a line from ``low`` to ``high``."""
    left = 100 * max(0.0, low)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="100" height="10" class="rest"/><rect width="{:.1f}" height="10" class="{}"/>'
        '<rect x="{:.1f}" y="4" width="{:.1f}" height="2" class="whisker"/></svg>'
    ).format(100 * min(1.0, max(0.0, share)), kind, left, 100 * min(1.0, high) - left)


def usd(amount: float | None) -> str:
    """Write an amount for a reader, two figures: ``$0.0042``, ``$12``, ``$1,200``."""
    if amount is None:
        return "unknown"
    if amount == 0 or abs(amount) >= 100:
        return f"${amount:,.0f}"
    digits = max(0, 1 - math.floor(math.log10(abs(amount))))
    return f"${amount:,.{max(digits, 2 if abs(amount) >= 0.01 else 0)}f}" if digits < 7 else f"${amount:.1e}"


def _when(hour: int, step: int) -> str:
    """Write a time in hours since the epoch, for a reader (UTC)."""
    at = datetime.fromtimestamp(hour * 3600, timezone.utc)
    return at.strftime("%d %b" if step >= 24 else "%d %b %H:00")


def _ends(first: int, last: int, step: int) -> list[tuple[float, str]]:
    return [(0.0, _when(first, step)), (1.0, _when(last, step))]


def _decades(low: float, high: float, across: Callable[[float], float]) -> list[tuple[float, str]]:
    """Marks of a logarithmic scale of USD, at most five: each ten times the one before, or a power of that."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside = [power for power in powers if 0.0 <= across(10.0**power) <= 1.0]
    if len(inside) < 2:
        return [(across(amount), usd(amount)) for amount in sorted({low, high})]
    return [
        (across(10.0**power), f"${10.0**power:.{max(0, -power)}f}") for power in inside[:: math.ceil(len(inside) / 5)]
    ]


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _nice(amount: float) -> float:
    """The next round amount."""
    if amount <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(amount))
    return next(power * factor for factor in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if power * factor >= amount * 0.999)
