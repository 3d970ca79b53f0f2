"""Plots of a report as SVG, in the colours of the page they stand in (pure)."""

from collections.abc import Sequence
from html import escape
from typing import Final

_WIDTH, _HEIGHT, _MARGIN = 860, 220, 46
_LANE, _NAME, _END = 24, 330, 90
_LETTERS: Final = 46
"""Letters of a lane's name that there is room for."""

STYLE: Final = """
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:12px}
svg text.name{fill:var(--ink)}svg line{stroke:var(--line)}
svg .mark{fill:var(--mark)}svg .base{fill:var(--base)}svg circle.mark{fill-opacity:.65}
"""


def bars(values: Sequence[float], labels: Sequence[str], title: str, form: str = "g") -> str:
    """Return upright bars, each with its value above and its label below."""
    top = max(values, default=0) or 1
    step = (_WIDTH - 2 * _MARGIN) / max(len(values), 1)
    parts = []
    for index, (value, label) in enumerate(zip(values, labels, strict=True)):
        x, tall = _MARGIN + index * step, (_HEIGHT - 2 * _MARGIN) * value / top
        y = _HEIGHT - _MARGIN - tall
        middle, told = x + step / 2, _text(x + step / 2, y - 5, format(value, form))
        parts += [
            _box(x + 2, y, step - 4, tall),
            told,
            _text(middle, _HEIGHT - _MARGIN + 16, label),
        ]
    return _svg("".join(parts) + _text(_WIDTH / 2, _HEIGHT - 8, title) + _floor(), title, _HEIGHT)


def lanes(rows: Sequence[tuple[str, float, str, bool]], title: str, top: float) -> str:
    """Return lying bars, one below the other: name, value, how it is written, whether of the base.

    ``top`` is the value of a bar that has the full width.
    """
    parts = []
    for index, (name, value, told, base) in enumerate(rows):
        y = index * _LANE
        wide = (_WIDTH - _NAME - _END) * min(max(value / top, 0), 1) if top > 0 else 0
        parts += [
            _text(_NAME - 10, y + 16, _short(name), "end", "name"),
            _box(_NAME, y + 4, wide, _LANE - 8, "base" if base else "mark"),
            _text(_NAME + wide + 8, y + 16, told, "start"),
        ]
    return _svg("".join(parts), title, len(rows) * _LANE + 4)


def scatter(pairs: Sequence[Sequence[float]], across: str, up: str) -> str:
    """Return points about the line on which both are equal."""
    every = [value for pair in pairs for value in pair]
    low, high = min(every), max(every)
    room = (high - low) * 0.05 or 0.5
    low, high = low - room, high + room

    def x(value: float) -> float:
        return _MARGIN + (value - low) / (high - low) * (_WIDTH - 2 * _MARGIN)

    def y(value: float) -> float:
        return _HEIGHT - _MARGIN - (value - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)

    equal = _line(x(low), y(low), x(high), y(high))
    dots = "".join(
        f'<circle class="mark" cx="{x(a):.1f}" cy="{y(b):.1f}" r="4"/>' for a, b in pairs
    )
    ends = "".join(_text(x(v), _HEIGHT - _MARGIN + 16, f"{v:.2f}") for v in (low, high))
    told = _text(_WIDTH / 2, _HEIGHT - 8, across) + _text(_MARGIN, _MARGIN - 14, up, "start")
    return _svg(equal + dots + ends + told + _floor(), f"{across}, {up}", _HEIGHT)


def _svg(content: str, title: str, height: int) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{escape(title)}">{content}</svg>'
    )


def _floor() -> str:
    return _line(_MARGIN, _HEIGHT - _MARGIN, _WIDTH - _MARGIN, _HEIGHT - _MARGIN)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _box(x: float, y: float, wide: float, tall: float, kind: str = "mark") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
    return f'<rect class="{kind}" {place} rx="2"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", kind: str = "note") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
