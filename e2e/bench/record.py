"""Figures as JSON, and as a table in docs/benchmarks.md."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from e2e.platform import ROOT

OUT = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
TABLE = re.compile(r"(<!-- bench:begin -->\n).*?(<!-- bench:end -->)", re.DOTALL)


@dataclass(frozen=True)
class Figure:
    """One measured figure; ``rivals`` holds what it was measured beside, in the same run."""

    name: str
    value: float
    unit: str
    rivals: dict[str, float] = field(default_factory=dict)


def record(file: str, figures: list[Figure]) -> None:
    """Write build/bench/FILE.json and renew the table of all figures in docs/benchmarks.md."""
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(figure) for figure in figures], indent=2)
    (OUT / f"{file}.json").write_text(text + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(rf"\g<1>{table()}\g<2>", page), encoding="utf-8")


def table() -> str:
    """Return the Markdown table of every figure in build/bench."""
    found = [row for file in sorted(OUT.glob("*.json")) for row in rows(_read(file))]
    return "\n".join(["| figure | value | unit | beside |", "|---|---|---|---|", *found, ""])


def _read(file: Path) -> list[Figure]:
    return [Figure(**each) for each in json.loads(file.read_text(encoding="utf-8"))]


def rows(figures: Iterable[Figure]) -> list[str]:
    """Return one row of that table for each figure."""
    return [
        f"| `{f.name}` | {f.value:.4g} | {f.unit} | "
        + ", ".join(f"{name}: {value:.4g}" for name, value in f.rivals.items())
        + " |"
        for f in figures
    ]
