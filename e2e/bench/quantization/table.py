"""The figures as tables of a page in Markdown (pure)."""

import re
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any, Final

BASE: Final = "BF16"
HEAD: Final = "| method | scheme | size | KL, nats | perplexity | agreement | CPU s | pace |"
MARKED: Final = re.compile(
    r"(<!-- quantization:begin -->\n).*?(<!-- quantization:end -->)", re.DOTALL
)
MODELS: Final = {
    "tiny": "The tiny model of the tests, whose weights are random",
    "small": "The small model, which was taught",
}


def filled(page: str, figures: Mapping[str, Any]) -> str:
    """Return the page with the tables of these figures between its marks."""
    text = "\n".join(line for name, found in figures.items() for line in table(name, found))
    return MARKED.sub(lambda match: f"{match.group(1)}{text}\n{match.group(2)}", page)


def table(name: str, figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of one model's table."""
    builds = figures["builds"]
    before = next(iter(builds.values()))
    megabytes = before["bytesBefore"] / 1e6
    yield (
        f"{MODELS[name]}: {megabytes:.1f} MB in BF16, perplexity "
        f"{before['quality']['perplexityBefore']:.4g}."
    )
    yield ""
    yield HEAD
    yield f"|{'---|' * (HEAD.count('|') - 1)}"
    paces = ratios(figures["paces"])
    yield from (row(scheme, said, paces.get(scheme)) for scheme, said in builds.items())
    yield ""


def row(scheme: str, said: Mapping[str, Any], pace: float | None) -> str:
    """Return the line of one scheme; ``pace`` is None where the engine does not serve it."""
    method, _, name = scheme.partition(":")
    quality = said["quality"]
    cells = (
        method,
        name,
        f"{said['bytesAfter'] / said['bytesBefore']:.2f}",
        _number(quality.get("kl"), ".5f"),
        _number(quality.get("perplexityAfter"), ".4g"),
        _number(quality.get("agreement"), ".1%"),
        f"{said['took']['cpuSeconds']:.0f}",
        _number(pace, ".2f"),
    )
    return f"| {' | '.join(cells)} |"


def ratios(paces: Mapping[str, list[float]]) -> dict[str, float]:
    """Return each artifact's pace over the base's: the median of the rounds' ratios."""
    base = paces[BASE]
    return {
        name: median(one / other for one, other in zip(found, base, strict=True))
        for name, found in paces.items()
        if name != BASE
    }


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
