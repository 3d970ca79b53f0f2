"""Figures as JSON, and as a table in docs/benchmarks.md."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from e2e.platform import ROOT

OUT = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = "| figure | value | unit | beside |\n|---|---|---|---|"
TABLE = re.compile(
    rf"(<!-- bench:begin -->\n){re.escape(HEAD)}\n(.*?)(<!-- bench:end -->)", re.DOTALL
)


@dataclass(frozen=True)
class Figure:
    """One measured figure; ``rivals`` holds what it was measured beside, in the same run."""

    name: str
    value: float
    unit: str
    rivals: dict[str, float] = field(default_factory=dict)


def record(file: str, figures: list[Figure]) -> None:
    """Write build/bench/FILE.json and renew its rows in the table of docs/benchmarks.md.

    Rows of figures that this run did not measure stay as they are.
    """
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(figure) for figure in figures], indent=2)
    (OUT / f"{file}.json").write_text(text + "\n", encoding="utf-8")
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")


def renewed(page: str, figures: Iterable[Figure]) -> str:
    """Return the page with the rows of these figures, in place of earlier ones of their names."""
    found = TABLE.search(page)
    lines = found.group(2).splitlines() if found else []
    kept = {_name(line): line for line in lines} | {f.name: row(f) for f in figures}
    body = "\n".join([HEAD, *kept.values(), ""])
    return TABLE.sub(lambda match: match.group(1) + body + match.group(3), page)


def _name(line: str) -> str:
    return line.split("`")[1]


def row(figure: Figure) -> str:
    """Return the row of that table for a figure."""
    beside = ", ".join(f"{name}: {value:.4g}" for name, value in figure.rivals.items())
    return f"| `{figure.name}` | {figure.value:.4g} | {figure.unit} | {beside} |"
