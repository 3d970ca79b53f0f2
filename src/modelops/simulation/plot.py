"""Load, replicas and times to first token over a trace, as a picture."""

import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

from modelops.simulation.course import Course
from modelops.simulation.world import Played

BIN_SECONDS: Final = 15
DOTS: Final = 110
FINEST: Final = 1e-4
MARKS: Final = "os^*Dvp"
COLOURS: Final = ("#0b6e4f", "#d1495b", "#edae49", "#00798c", "#6c5b7b", "#8d99ae", "#30638e")
MISSING: Final = (
    "pictures need matplotlib: install it with `pip install 'modelops[simulate]'`, or leave out "
    "--png and --html"
)


def picture(course: Course, played: Mapping[str, Played], title: str) -> bytes:
    """Return a PNG of three panels, a line for each who scaled.

    Raises ModuleNotFoundError with what to do where matplotlib is not installed.
    """
    figure, panels = _figure(3)
    _load(panels[0], course)
    for (name, one), colour in zip(played.items(), _colours(len(played)), strict=True):
        _replicas(panels[1], one, name, colour)
        _waits(panels[2], one, colour)
    _label(panels, course, title)
    figure.legend(*panels[1].get_legend_handles_labels(), **LEGEND, ncols=min(len(played), 4))
    return _png(figure)


Points = Mapping[str, Iterable[tuple[float, float]]]
"""Replica-hours and attainment of each who scales, at several settings."""


def curves(panels: Mapping[str, Points], share: float) -> bytes:
    """Return a PNG of attainment over replica-hours, a panel for each title."""
    figure, found = _figure(1, len(panels))
    for panel, (title, points) in zip(found, panels.items(), strict=True):
        _curve(panel, points, share)
        panel.set_title(title, loc="left", fontsize=10)
        panel.set_xlabel("replica-hours", fontsize=9)
    found[0].set_ylabel("share of requests whose\nfirst token was late", fontsize=9)
    figure.legend(*found[0].get_legend_handles_labels(), **LEGEND, ncols=2)
    return _png(figure)


def _curve(panel: Any, points: Points, share: float) -> None:
    for (name, found), colour, mark in zip(points.items(), COLOURS, MARKS, strict=False):
        pairs = sorted((hours, max(1 - attained, FINEST)) for hours, attained in found)
        hours, late = zip(*pairs, strict=True)
        size = 11 if len(pairs) == 1 else 4
        panel.plot(hours, late, color=colour, marker=mark, ms=size, lw=1.4, label=name)
    panel.axhline(1 - share, color="#444444", lw=0.9, ls=(0, (4, 3)))
    panel.set(xscale="log", yscale="log", ylim=(FINEST, 1))
    for axis, text in ((panel.xaxis, "{x:g}"), (panel.yaxis, _percent)):
        axis.set_major_formatter(text)
    panel.set_xticks([3, 4, 6, 10, 20], minor=False)
    panel.xaxis.set_minor_formatter("")


def _percent(value: float, _: int) -> str:
    return f"{100 * value:g}%"


LEGEND: Final = {"loc": "outside lower center", "frameon": False, "fontsize": 9}


def _figure(rows: int, columns: int = 1) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an optional dependency
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(MISSING) from error
    height = 2.6 * rows + 1.2
    figure = Figure(figsize=(10, height), dpi=DOTS, layout="constrained")
    panels = figure.subplots(rows, columns, sharex="col", sharey="row", squeeze=False).flatten()
    for panel in panels:
        panel.grid(color="#e6e6e6", lw=0.7)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=8)
    return figure, panels


def _load(panel: Any, course: Course) -> None:
    bins = [0] * (int(course.seconds) // BIN_SECONDS + 1)
    for request in course.trace:
        bins[int(request.at) // BIN_SECONDS] += 1
    minutes = [n * BIN_SECONDS / 60 for n in range(len(bins))]
    rates = [count / BIN_SECONDS for count in bins]
    panel.fill_between(minutes, rates, step="post", color="#9fb4c7", lw=0)


def _replicas(panel: Any, played: Played, name: str, colour: str) -> None:
    moments = [m for m in played.moments if played.begin <= m.at <= played.seconds]
    minutes = [(m.at - played.begin) / 60 for m in moments]
    label = f"{name} ({played.replica_hours:.2f} h)"
    panel.step(
        minutes, [m.replicas for m in moments], where="post", color=colour, lw=1.6, label=label
    )
    panel.step(minutes, [m.ready for m in moments], where="post", color=colour, lw=0.8, alpha=0.45)


def _waits(panel: Any, played: Played, colour: str) -> None:
    bins: dict[int, list[float]] = {}
    for job in played.judged:
        if job.first is not None:
            at = int(job.request.at - played.begin) // BIN_SECONDS
            bins.setdefault(at, []).append(job.first - job.request.at)
    slow = {at: sorted(waits)[len(waits) * 9 // 10] for at, waits in sorted(bins.items())}
    panel.plot([at * BIN_SECONDS / 60 for at in slow], list(slow.values()), color=colour, lw=1.3)


def _label(panels: Any, course: Course, title: str) -> None:
    objective = course.objective.ttft_seconds
    panels[0].set_title(title, loc="left", fontsize=11)
    panels[0].set_ylabel("requests a second")
    panels[1].set_ylabel("replicas\n(thin: ready)")
    panels[0].set_ylim(bottom=0)
    panels[1].set_yscale("symlog", base=2, linthresh=1)
    panels[1].yaxis.set_major_formatter("{x:g}")
    panels[1].set_ylim(bottom=0)
    panels[2].set_ylabel("first token, seconds\n(nine of ten sooner)")
    panels[2].set(yscale="log", xlabel="minutes", xlim=(0, course.seconds / 60))
    panels[2].yaxis.set_major_formatter("{x:g}")
    panels[2].axhline(objective, color="#444444", lw=0.9, ls=(0, (4, 3)))
    for panel in panels:
        panel.yaxis.label.set_size(9)


def _colours(count: int) -> tuple[str, ...]:
    return tuple(COLOURS[n % len(COLOURS)] for n in range(count))


def _png(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
