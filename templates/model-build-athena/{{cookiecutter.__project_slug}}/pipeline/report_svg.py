"""What the report draws: the graph of steps and the plots, each one an inline SVG."""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from pipeline.local import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# A step's status: its tone in the style sheet, the word for it, its mark in a box of 20 by 20.
STATUSES = {
    "Succeeded": ("good", "succeeded", "M5.5 10.5l3 3 6-7"),
    "Failed": ("bad", "failed", "M6.5 6.5l7 7m0-7l-7 7"),
    "Skipped": ("off", "skipped", "M6 10h8"),
    "NotRun": ("off", "not run", "M6 10h8"),
}
WIDTH, HEIGHT, GAP, ROW, ARC = 152, 66, 66, 88, 26  # of nodes, the ways between them, and arcs
MOST_CURVES, MOST_COLOURS = 24, 6  # of more classes the weakest are drawn, and coloured
DASHES = ("none", "8 4", "2 3", "10 3 2 3", "14 4", "5 2 1 2")
MOST_POINTS = 2000


def text(value: object, most: int = 100_000) -> str:
    """Return `value` as escaped text, cut to `most` characters."""
    whole = str(value)
    return html.escape(whole if len(whole) <= most else f"{whole[: most - 1]}…")


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether `value` is a finite number: JSON may hold null, NaN or a word in its place."""
    return isinstance(value, int | float) and math.isfinite(value)


def number(value: object, apart_from: object = None) -> str:
    """Show four digits of `value`, or as many as it takes to tell it from `apart_from`."""
    if not is_number(value):
        return "n/a"
    size, shown = abs(value), "0"
    for digits in range(4, 17):
        if 1e-4 <= size < 1e9:  # noqa: PLR2004 (beyond, powers of ten read better)
            places = max(0, digits - 1 - math.floor(math.log10(size)))
            shown = f"{value:,.{places}f}"
        elif size:
            shown = f"{value:.{digits - 1}e}"
        if value == apart_from or float(shown.replace(",", "")) != apart_from:
            break
    return shown


def duration(seconds: float | None) -> str:
    """Show seconds, from a minute on with the minutes."""
    if seconds is None:
        return "&ndash;"
    if seconds < 0.01:  # noqa: PLR2004 (less than is shown)
        return "&lt;0.01 s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.2f} s"


def mark(status: str) -> str:
    """Draw the mark of a status, in a box of 20 by 20."""
    tone, _, line = STATUSES[status]
    shapes = f'<circle class="tone" cx="10" cy="10" r="9"/><path class="glyph" d="{line}"/>'
    return f'<g class="{tone}">{shapes}</g>'


@dataclass(frozen=True)
class Step:
    """A step of the definition and what became of it."""

    name: str
    kind: str
    status: str
    seconds: float | None
    reason: str
    branch: str  # yes or no: the side of the condition that it stands on
    takes: dict[str, list[str]]  # from which step it takes what

    @property
    def tone(self) -> str:
        return STATUSES[self.status][0]

    @property
    def word(self) -> str:
        return STATUSES[self.status][1]


def read_steps(run: Mapping[str, Any]) -> list[Step]:
    """Return the steps of the run's definition, those inside conditions too."""
    facts = {fact["name"]: fact for fact in run.get("steps") or []}
    nodes = list(flatten(run["definition"]["Steps"]))
    side = {node.name: node.branch for node in nodes}
    steps = []
    for node in nodes:
        arguments, takes = node.request["Arguments"], dict[str, list[str]]()
        for source, what in _references(arguments.get("Conditions", arguments)):
            known = takes.setdefault(source, [])
            known += [what] * (what not in known)
        for source in sorted(node.needs):
            takes.setdefault(source, [])
        if node.branch and any(side.get(source) == node.branch for source in takes):
            del takes[node.branch[0]]  # it waits for a step that waits for the condition
        fact = facts.get(node.name, {})
        status = fact.get("status") if fact.get("status") in STATUSES else "NotRun"
        seconds = fact.get("seconds") if status in ("Succeeded", "Failed") else None
        branch = ("yes" if node.branch[1] else "no") if node.branch else ""
        reason = str(fact.get("reason") or "")
        steps.append(Step(node.name, node.type, status, seconds, reason, branch, takes))
    return steps


def _references(value: object) -> Iterator[tuple[str, str]]:
    """Yield the step, and a short name of what it gives, for each reference in `value`."""
    if isinstance(value, dict):
        found = re.match(r"Steps\.([^.\[]+)\.?(.*)", str(value.get("Get", "")))
        if found:
            keys = re.findall(r"\[['\"](.+?)['\"]\]", found[2]) or found[2].split(".")
            yield found[1], keys[-1].replace("S3ModelArtifacts", "model")
        value = list(value.values())
    for item in value if isinstance(value, list) else []:
        yield from _references(item)


def graph(steps: Sequence[Step]) -> str:
    """Draw the steps from left to right, each in the column after those that it needs."""
    named = {step.name: step for step in steps}
    links = [(named[source], step) for step in steps for source in step.takes if source in named]
    column = dict.fromkeys(named, 0)
    for _ in steps:
        for source, step in links:
            column[step.name] = max(column[step.name], column[source.name] + 1)
    places = list(column.values())
    rows = max(map(places.count, places), default=1)
    place, taken = {}, Counter[int]()
    for name, x in column.items():
        place[name] = (x * (WIDTH + GAP), (rows - places.count(x) + 2 * taken[x]) * ROW / 2)
        taken[x] += 1
    middle = (rows - 1) * ROW / 2
    spans = [(column[b.name] - column[a.name], place[b.name][1] > middle) for a, b in links]
    arcs = [(0.75 * ARC * (span + 1) + 14, is_low) for span, is_low in spans if span > 1]
    above, below = (
        max((reach for reach, is_low in arcs if is_low == low), default=0) for low in (False, True)
    )
    drawn = [_link(source, step, place, middle) for source, step in links]
    nodes = "".join(_node(step, *place[step.name]) for step in steps)
    width, height = max(places, default=0) * (WIDTH + GAP) + WIDTH, 2 * middle + HEIGHT
    words = text("Graph of steps: " + ", ".join(f"{step.name} {step.word}" for step in steps))
    return (
        f'<svg class="graph" role="img" aria-label="{words}" style="max-width:{width + 4}px"'
        f' viewBox="-2 {-above - 2:g} {width + 4} {above + height + below + 4:g}">'
        f"{''.join(way for way, _ in drawn)}{nodes}{''.join(label for _, label in drawn)}</svg>"
    )


def _link(
    source: Step, step: Step, place: Mapping[str, tuple[float, float]], middle: float
) -> tuple[str, str]:
    """Return the way between two nodes and its label: an arc where it passes over others."""
    (x1, y1), (x2, y2) = place[source.name], place[step.name]
    what = step.takes[source.name]
    branch = step.branch if source.kind == "Condition" else ""
    span = round((x2 - x1) / (WIDTH + GAP))
    if span > 1:
        up = -1 if y2 <= middle else 1
        # Longer arcs stand nearer the middle of a node, so that they go around the shorter ones.
        x1, x2 = x1 + WIDTH * (0.4 + 0.8 / span), x2 + WIDTH * (0.6 - 0.8 / span)
        y1, y2 = (y + (HEIGHT if up > 0 else 0) for y in (y1, y2))
        peak = ARC * (span + 1) * up + (min(y1, y2) if up < 0 else max(y1, y2))
        way = f"M{x1:.5g} {y1:g}C{x1:.5g} {peak:g} {x2:.5g} {peak:g} {x2:.5g} {y2:g}"
        x, y, room = (x1 + x2) / 2, (y1 + y2) / 8 + 0.75 * peak + 4, 30 * span
        head = f"l-4 {7 * up}h8z"
    else:
        x1, y1, y2 = x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2
        x, y, room = (x1 + x2) / 2 - 2, (y1 + y2) / 2 + (4 if y1 != y2 else -6), 11
        way, head = f"M{x1} {y1:g}C{x:g} {y1:g} {x:g} {y2:g} {x2} {y2:g}", "l-7-4v8z"
    words = ", ".join(what)
    short = words if len(words) <= room or len(what) == 1 else f"{what[0]} +{len(what) - 1}"
    title = text(f"{source.name} to {step.name}: {words or branch or 'order only'}")
    mute = "mute" if step.tone == "off" else ""
    kind = "branch" if branch else "label"
    line = f'<path class="edge" d="{way}"><title>{title}</title></path>'
    line += f'<path class="head" d="M{x2:.5g} {y2:g}{head}"/>'
    label = f'<text class="{kind}" x="{x:.5g}" y="{y:.5g}">{branch or text(short, room)}</text>'
    return f'<g class="link {mute}">{line}</g>', label


def _node(step: Step, x: float, y: float) -> str:
    seconds = "" if step.seconds is None else duration(step.seconds)
    return (
        f'<g class="node {step.tone}" data-step="{text(step.name)}"'
        f' transform="translate({x} {y:g})">'
        f"<title>{text(step.name)}: {text(step.kind)}, {step.word} {seconds}</title>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        f'<text class="name" x="12" y="21">{text(step.name, 16)}</text>'
        f'<text class="small" x="12" y="37">{text(step.kind, 20)}</text>'
        f'<text class="small end" x="{WIDTH - 12}" y="37">{seconds}</text>'
        f'<svg x="12" y="44" width="14" height="14" viewBox="0 0 20 20">{mark(step.status)}</svg>'
        f'<text class="state" x="30" y="55">{step.word}</text></g>'
    )


@dataclass(frozen=True)
class _Plot:
    """Axes of 396 by 340 pixels for the ranges `x` and `y`."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        right, up = ((v - low) / (high - low) for v, (low, high) in ((x, self.x), (y, self.y)))
        return 56 + 396 * right, 350 - 340 * up

    def draw(self, marks: str, label: str, x_name: str, y_name: str) -> str:
        lines = texts = ""
        for tick in _ticks(*self.x):
            x, _ = self.at(tick, self.y[0])
            lines += f"M{x:.1f} 10V350"
            texts += f'<text class="mid" x="{x:.1f}" y="366">{_short(tick)}</text>'
        for tick in _ticks(*self.y):
            _, y = self.at(self.x[0], tick)
            lines += f"M56 {y:.1f}H452"
            texts += f'<text class="end" x="49" y="{y + 4:.1f}">{_short(tick)}</text>'
        return (
            f'<svg class="plot" viewBox="0 0 460 392" role="img" aria-label="{text(label)}">'
            f'<path class="grid" d="{lines}"/>{marks}<path class="axis" d="M56 10V350H452"/>{texts}'
            f'<text class="axis-name" x="254" y="386">{x_name}</text>'
            f'<text class="axis-name" transform="translate(11 180) rotate(-90)">{y_name}</text>'
            "</svg>"
        )


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return about as many round numbers between `low` and `high`, evenly spaced."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= 0.999 * rough)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def _short(tick: float) -> str:
    """Show a round number in the room beside an axis."""
    for least, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(tick) >= least:
            return f"{tick / unit:g}{letter}"
    return f"{tick:g}"


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.04 * (high - low) or abs(low) / 10 or 1.0
    return low - pad, high + pad


def _line(points: Sequence[tuple[float, float]]) -> str:
    """Return the way through `points`, without those that no eye tells from the one before."""
    kept = list(points[:1])
    for x, y in points:
        if abs(x - kept[-1][0]) + abs(y - kept[-1][1]) >= 1.5:  # noqa: PLR2004 (pixels)
            kept.append((x, y))
    return "M" + " ".join(f"{x:.1f} {y:.1f}" for x, y in [*kept, *points[-1:]])


def roc(curves: Sequence[Mapping[str, Any]]) -> str:
    """Draw ROC curves with their key; of many classes only the weakest are coloured."""
    ordered = sorted(curves, key=lambda curve: curve["auc"] if is_number(curve["auc"]) else 2.0)
    bright = len(curves) if len(curves) <= MOST_COLOURS else MOST_COLOURS - 1
    plot, lines, keys, words = _Plot((0, 1), (0, 1)), "", [], []
    for place, curve in enumerate(ordered[:MOST_CURVES]):
        style = f"stroke:var(--c{place});stroke-dasharray:{DASHES[place % len(DASHES)]}"
        style = style if place < bright else "stroke:var(--off);stroke-width:1"
        name = f"{curve['label']}: {number(curve['auc'])}"
        points = zip(curve["fpr"], curve["tpr"], strict=True)
        way = _line([plot.at(x, y) for x, y in points if is_number(x) and is_number(y)])
        # The weakest class is drawn last, on top.
        hover = f"<title>{text(name)}</title>"
        lines = f'<path class="curve" style="{style}" d="{way}">{hover}</path>{lines}'
        if place == bright:
            name = f"{len(curves) - bright} more: {number(curve['auc'])} or better"
        if place <= bright:
            sample = f'<path class="curve" style="{style}" d="M0 4H30"/>'
            keys.append(
                f'<li><svg viewBox="0 0 30 8" aria-hidden="true">{sample}</svg>{text(name)}</li>'
            )
            words.append(name)
    guide = f'<path class="guide" d="{_line([plot.at(0, 0), plot.at(1, 1)])}"/>'
    label = f"ROC curves with the area under each: {', '.join(words)}"
    drawn = plot.draw(guide + lines, label, "False positive rate", "True positive rate")
    return f'{drawn}<ul class="key">{"".join(keys)}</ul>'


def scatter(pairs: Sequence[tuple[float, float]]) -> str:
    """Draw predicted against actual values, darker where points crowd."""
    pairs = pairs[:: math.ceil(len(pairs) / MOST_POINTS)]
    span = _padded([value for pair in pairs for value in pair])
    plot = _Plot(span, span)
    spots = sorted({(round(x), round(y)) for x, y in (plot.at(*pair) for pair in pairs)})
    crowd = Counter((x // 7, y // 7) for x, y in spots)
    marks = f'<path class="guide" d="{_line([plot.at(v, v) for v in span])}"/>'
    for level, opacity in enumerate((0.6, 0.75, 0.95)):
        dots = [(x, y) for x, y in spots if min(crowd[x // 7, y // 7].bit_length() - 1, 2) == level]
        way = "".join(f"M{x} {y}h0" for x, y in dots)
        marks += f'<path class="dots" style="opacity:{opacity}" d="{way}"/>'
    label = (
        f"Predicted against actual values of {len(pairs)} test rows, and the line where both agree"
    )
    return plot.draw(marks, label, "Actual", "Predicted")


def histogram(values: Sequence[float]) -> str:
    """Draw how often each size of error occurs, in bins of a round width with an edge at zero."""
    low, high = _padded(values)
    edges = _ticks(low, high, min(24, 6 + len(values) // 8))
    width = edges[1] - edges[0]
    bins = Counter(math.floor(value / width) for value in values)
    span = (min(bins) - 0.5) * width, (max(bins) + 1.5) * width
    plot = _Plot(span, (0, max(1.06 * max(bins.values()), 5)))
    marks = ""
    for place, count in sorted(bins.items()):
        (x, y), (right, _) = plot.at(place * width, count), plot.at((place + 1) * width, 0)
        title = f"<title>{place * width:,.6g} to {(place + 1) * width:,.6g}: {count}</title>"
        marks += f'<rect class="columns" x="{x + 0.5:.1f}" y="{y:.1f}" width="{right - x - 1:.1f}"'
        marks += f' height="{350 - y:.1f}">{title}</rect>'
    if span[0] < 0 < span[1]:
        marks += f'<path class="guide" d="{_line([plot.at(0, 0), plot.at(0, plot.y[1])])}"/>'
    label = (
        f"Histogram of {len(values)} errors between {number(min(values))} and {number(max(values))}"
    )
    return plot.draw(marks, label, "Actual &minus; predicted", "Rows")
