"""The page that shows what an artifact lost and what it saves (pure)."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2430;max-width:900px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}
p.verdict{border-radius:8px;padding:.7rem 1rem;margin:1rem 0}
p.passed{background:#e6f4ea;color:#14532d}p.failed{background:#fdecea;color:#7f1d1d}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem}
tr{border-bottom:1px solid #e3e7ee}td.n{text-align:right;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto}code{font-size:.9em;overflow-wrap:anywhere}
p.note{color:#5b6675;font-size:.9em}
"""
_WIDTH, _HEIGHT, _MARGIN = 860, 220, 46
_BLUE, _GREY = "#2f6fde", "#c3ccd9"
_POINTS: Final = (
    "Each point is one window of held-out text; on the line nothing is lost. Perplexity can fall "
    "by chance, so the gate looks at the divergence first."
)
_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


def page(artifact: Mapping[str, Any]) -> str:
    """Return the report as one HTML document that loads nothing from elsewhere."""
    quality, recipe = artifact["quality"], artifact["recipe"]
    gate = artifact["gate"]
    title = f"{recipe['method']} {recipe['options'].get('scheme', '')} of {recipe['source']['uri']}"
    verdict = "passed" if gate["passed"] else "failed"
    body = (
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict {verdict}">The gate has {verdict}: {escape(gate["sentence"])}.</p>',
        _table(_figures(artifact, quality)),
        *_plots(quality),
        "<h2>Where it comes from</h2>",
        _table(_lineage(artifact)),
    )
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>'


def _figures(artifact: Mapping[str, Any], quality: Mapping[str, Any]) -> list[tuple[str, str]]:
    before, after = artifact["sourceBytes"], artifact["artifactBytes"]
    rows = [("weights", f"{_size(before)} before, {_size(after)} after ({_ratio(after, before)})")]
    if "kl" in quality:
        rows += [
            ("mean KL of the next token", f"{quality['kl']:.5g} nats"),
            (
                "perplexity on held-out text",
                f"{quality['perplexityBefore']:.4f} before, {quality['perplexityAfter']:.4f} after",
            ),
            ("agreement with the base's answers", f"{quality['agreement'] * 100:.1f}% of tokens"),
            ("measured on", f"{quality['windows']} windows, {quality['tokens']} tokens"),
        ]
    rows.append(("time", f"{artifact['seconds']:.0f} s; {artifact['gpuSeconds']:.0f} s of GPU"))
    return rows


def _plots(quality: Mapping[str, Any]) -> list[str]:
    plots = []
    if held := quality.get("histogram"):
        plots += [
            "<h2>Divergence token by token</h2>",
            _bars(held["counts"], held["labels"], "KL of one token's distribution, nats"),
        ]
    if pairs := quality.get("losses"):
        plots += [
            "<h2>Loss window by window</h2>",
            _scatter(pairs, "loss of the base, nats a token", "of the artifact"),
            f'<p class="note">{_POINTS}</p>',
        ]
    return plots


def _lineage(artifact: Mapping[str, Any]) -> list[tuple[str, str]]:
    lineage = artifact["lineage"]
    source = lineage["source"]
    tools = ", ".join(f"{name} {version}" for name, version in (lineage["tools"] or {}).items())
    told = ", ".join(f"{k}: {v}" for k, v in artifact["recipe"]["options"].items())
    return [
        ("source", f"{source['uri']} ({source['digest'][:16]})"),
        ("options", told),
        ("builder", lineage["builderImage"]),
        ("tools", tools),
        ("device", str(lineage["device"])),
        ("digest", artifact["digest"]),
        ("made", artifact["created"]),
    ]


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{escape(n)}</th><td><code>{escape(v)}</code></td></tr>" for n, v in rows)
    return f"<table>{''.join(cells)}</table>"


def _bars(counts: Sequence[int], labels: Sequence[str], title: str) -> str:
    top = max(counts, default=0) or 1
    step = (_WIDTH - 2 * _MARGIN) / max(len(counts), 1)
    parts = []
    for index, (count, label) in enumerate(zip(counts, labels, strict=True)):
        x, tall = _MARGIN + index * step, (_HEIGHT - 2 * _MARGIN) * count / top
        y = _HEIGHT - _MARGIN - tall
        parts.append(
            f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{step - 4:.1f}" height="{tall:.1f}" '
            f'fill="{_BLUE}"/>{_text(x + step / 2, y - 5, str(count))}'
            f"{_text(x + step / 2, _HEIGHT - _MARGIN + 16, label)}"
        )
    return _svg("".join(parts) + _text(_WIDTH / 2, _HEIGHT - 8, title))


def _scatter(pairs: Sequence[Sequence[float]], across: str, up: str) -> str:
    every = [value for pair in pairs for value in pair]
    low, high = min(every), max(every)
    room = (high - low) * 0.05 or 0.5
    low, high = low - room, high + room

    def x(value: float) -> float:
        return _MARGIN + (value - low) / (high - low) * (_WIDTH - 2 * _MARGIN)

    def y(value: float) -> float:
        return _HEIGHT - _MARGIN - (value - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)

    line = (
        f'<line x1="{x(low):.1f}" y1="{y(low):.1f}" x2="{x(high):.1f}" y2="{y(high):.1f}" '
        f'stroke="{_GREY}"/>'
    )
    dots = "".join(
        f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="4" fill="{_BLUE}" fill-opacity=".6"/>'
        for a, b in pairs
    )
    ends = "".join(_text(x(v), _HEIGHT - _MARGIN + 16, f"{v:.2f}") for v in (low, high))
    told = _text(_WIDTH / 2, _HEIGHT - 8, across) + _text(_MARGIN, _MARGIN - 14, up, "start")
    return _svg(line + dots + ends + told)


def _svg(content: str) -> str:
    axis = _HEIGHT - _MARGIN
    line = (
        f'<line x1="{_MARGIN}" y1="{axis}" x2="{_WIDTH - _MARGIN}" y2="{axis}" stroke="{_GREY}"/>'
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" xmlns="http://www.w3.org/2000/svg" role="img">'
        f"{line}{content}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" fill="#5b6675" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _size(count: int) -> str:
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.2f} {_UNITS[unit]}" if unit else f"{count} B"


def _ratio(after: int, before: int) -> str:
    return f"{after / before:.2f} of it" if before else "nothing before"
