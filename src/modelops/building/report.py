"""The page that shows what an artifact lost and what it saves (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from modelops.building import plots

PAGE: Final = "report.html"
_COLOURS: Final = {
    "light": "--paper:#fff;--ink:#1c2430;--soft:#5b6675;--line:#d5dbe4;--mark:#2f6fde;"
    "--base:#a9b5c6;--good:#e6f4ea;--goodink:#14532d;--bad:#fdecea;--badink:#7f1d1d",
    "dark": "--paper:#12161d;--ink:#e4e9f0;--soft:#9aa6b6;--line:#343d4a;--mark:#6ba1ff;"
    "--base:#5d6b7f;--good:#12351f;--goodink:#a7e3bb;--bad:#431a1a;--badink:#f6b5b5",
}
_STYLE: Final = (
    f":root{{color-scheme:light dark;{_COLOURS['light']}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_COLOURS['dark']}}}}}"
    """
body{font:15px/1.5 system-ui,sans-serif;background:var(--paper);color:var(--ink);max-width:900px;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:2rem 0 .5rem}
p.verdict{border-radius:8px;padding:.7rem 1rem;margin:1rem 0}
p.passed{background:var(--good);color:var(--goodink)}
p.failed{background:var(--bad);color:var(--badink)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;
vertical-align:top}th{font-weight:500;width:15rem}tr{border-bottom:1px solid var(--line)}
code{font-size:.9em;overflow-wrap:anywhere}p.note{color:var(--soft);font-size:.9em}
""" + plots.STYLE
)
_POINTS: Final = (
    "Each point is one window of held-out text; on the line nothing is lost. Perplexity can fall "
    "by chance, so the gate looks at the divergence first."
)
_PLACES: Final = (
    "If it grows to the right, errors pile up along the text: then measure on windows as long as "
    "your requests before you trust long answers."
)
_ANSWERS: Final = (
    "The share of the base's own answer, token by token, that the artifact would have chosen at "
    "the same place. The lowest come first: try those prompts on both."
)
_WORDED: Final = frozenset(
    {"kl", "klWorst", "perplexityBefore", "perplexityAfter", "agreement", "windows", "tokens"}
)
_CALLED: Final = {
    "pixels": "mean difference of pixels, of full brightness",
    "pixelsWorst": "difference of pixels at worst",
    "ssim": "structural similarity of pictures of one seed",
    "pictures": "pictures that it was measured on",
    "cosine": "mean cosine of the embeddings of one input",
    "rank": "rank correlation of similarities",
    "inputs": "inputs that it was measured on",
}
_TOKENS: Final = "KL of one token's distribution, nats"
_MOST_POINTS: Final = 400
"""Of more windows, every second or third is drawn."""
_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


def page(artifact: Mapping[str, Any]) -> str:
    """Return the report as one HTML document that loads nothing from elsewhere."""
    quality, recipe, gate = artifact["quality"], artifact["recipe"], artifact["gate"]
    title = f"{recipe['method']} {recipe['options'].get('scheme', '')} of {recipe['source']['uri']}"
    verdict = "passed" if gate["passed"] else "failed"
    body = (
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict {verdict}">The gate has {verdict}: {escape(gate["sentence"])}.</p>',
        _table(_figures(artifact, quality)),
        *_plots(artifact, quality),
        "<h2>Where it comes from</h2>",
        _table(_lineage(artifact)),
    )
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>'


def _figures(artifact: Mapping[str, Any], quality: Mapping[str, Any]) -> list[tuple[str, str]]:
    before, after = artifact["sourceBytes"], artifact["artifactBytes"]
    rows = [("weights", f"{_size(before)} before, {_size(after)} after ({_ratio(after, before)})")]
    if "kl" in quality:
        pair = (_told(quality[f"perplexity{when}"], ".4f") for when in ("Before", "After"))
        worst = f", {_told(quality['klWorst'])} at worst" if "klWorst" in quality else ""
        rows += [
            ("mean KL of the next token", f"{_told(quality['kl'])} nats{worst}"),
            ("perplexity on held-out text", "{} before, {} after".format(*pair)),
            (
                "agreement with the base's answers",
                f"{_told(quality['agreement'], '.1%')} of tokens",
            ),
            ("measured on", f"{quality['windows']} windows, {quality['tokens']} tokens"),
        ]
    rows += [(_CALLED.get(name, name), _told(quality[name])) for name in sorted(_unknown(quality))]
    rows.append(("time", f"{artifact['seconds']:.0f} s; {artifact['gpuSeconds']:.0f} s of GPU"))
    return rows


def _unknown(quality: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of figures that this page has no words for."""
    figures = (name for name, value in quality.items() if isinstance(value, int | float))
    return (name for name in figures if name not in _WORDED)


def _plots(artifact: Mapping[str, Any], quality: Mapping[str, Any]) -> Iterator[str]:
    yield from _beside(artifact, quality)
    if held := quality.get("histogram"):
        yield "<h2>What was lost, one by one</h2>"
        yield plots.bars(held["counts"], held["labels"], held.get("title", _TOKENS))
    if places := quality.get("positions"):
        yield "<h2>Divergence along the text</h2>"
        told = [str(place) for place, _ in places]
        yield plots.bars(
            [kl or 0 for _, kl in places],
            told,
            "mean KL after so many tokens of a window, nats",
            ".3g",
        )
        yield _note(_PLACES)
    if pairs := [pair for pair in quality.get("losses", ()) if None not in pair]:
        yield "<h2>Loss window by window</h2>"
        pairs = pairs[:: -(-len(pairs) // _MOST_POINTS)]
        yield plots.scatter(pairs, "loss of the base, nats a token", "of the artifact")
        yield _note(_POINTS)
    if prompts := quality.get("prompts"):
        yield "<h2>Agreement prompt by prompt</h2>"
        rows = [(text, share or 0, _told(share, ".0%"), False) for text, share in prompts]
        yield plots.lanes(sorted(rows, key=lambda row: row[1]), "agreement by prompt", 1)
        yield _note(_ANSWERS)


def _beside(artifact: Mapping[str, Any], quality: Mapping[str, Any]) -> Iterator[str]:
    """Yield what there is of both, side by side."""
    yield "<h2>Before and after</h2>"
    sizes = [artifact[f"{whose}Bytes"] for whose in ("source", "artifact")]
    yield _pair("weights", sizes, [_size(size) for size in sizes])
    told = (quality.get(f"perplexity{when}") for when in ("Before", "After"))
    both = [float(value) for value in told if value is not None]
    if len(both) == 2:
        yield _pair("perplexity", both, [_told(value) for value in both])


def _pair(name: str, values: Sequence[float], told: Sequence[str]) -> str:
    rows = zip((f"{name}, base", f"{name}, artifact"), values, told, (True, False), strict=True)
    return plots.lanes(list(rows), f"{name} before and after", max(values))


def _lineage(artifact: Mapping[str, Any]) -> list[tuple[str, str]]:
    lineage = artifact["lineage"]
    source = lineage["source"]
    tools = ", ".join(f"{name} {version}" for name, version in (lineage["tools"] or {}).items())
    options = artifact["recipe"]["options"].items()
    return [
        ("source", f"{source['uri']} ({source['digest'][:16]})"),
        ("options", ", ".join(f"{name}: {_option(value)}" for name, value in options)),
        ("builder", lineage["builderImage"]),
        ("tools", tools),
        ("device", str(lineage["device"])),
        ("digest", artifact["digest"]),
        ("made", artifact["created"]),
    ]


def _option(value: Any) -> str:
    """Return an option as people write it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_option(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return str(value)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{escape(n)}</th><td><code>{escape(v)}</code></td></tr>" for n, v in rows)
    return f"<table>{''.join(cells)}</table>"


def _note(text: str) -> str:
    return f'<p class="note">{text}</p>'


def _told(value: float | None, form: str = ".5g") -> str:
    """Return a figure as text; what is no number was computed wrongly by the artifact."""
    return "no number" if value is None else format(value, form)


def _size(count: int) -> str:
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.2f} {_UNITS[unit]}" if unit else f"{count} B"


def _ratio(after: int, before: int) -> str:
    return f"{after / before:.2f} of it" if before else "nothing before"
