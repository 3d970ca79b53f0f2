"""One HTML page that tells all of a simulation and needs nothing else."""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Any, Final

from modelops.simulation.outcome import Outcome

COLUMNS: Final = (
    ("hours", "replica_hours", "{:.2f}"),
    ("in time", "slo_attainment", "{:.2%}"),
    ("TTFT p50", "ttft_p50_ms", "{:,.0f}"),
    ("p90", "ttft_p90_ms", "{:,.0f}"),
    ("p99", "ttft_p99_ms", "{:,.0f}"),
    ("token p50", "token_p50_ms", "{:.0f}"),
    ("p99", "token_p99_ms", "{:.0f}"),
    ("most", "most_replicas", "{}"),
    ("changes", "changes", "{}"),
    ("lost", "lost", "{}"),
)
"""What is told of each who scaled: title, field, format."""

PAGE: Final = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2321; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block;
  overflow-x: auto; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
td.bad { color: #a4243b; }
img { max-width: 100%; }
pre { background: #f5f6f5; padding: .8rem; overflow-x: auto; font-size: 13px; }
</style>
<h1>$title</h1>
<p>A simulation of engines with continuous batching. The decisions are those of the code that
scales on a cluster; the engines are modelled. Replica-hours count from when a replica is asked for
until it is gone; times are in milliseconds, to the first token (TTFT) and between tokens; lost are
requests that were cut by a drain or never answered. Who misses the objective is red.</p>
<table><thead><tr><th></th>$heads</tr></thead><tbody>$rows</tbody></table>
<p><img alt="load, replicas and times to first token" src="data:image/png;base64,$picture"></p>
<details><summary>Everything as JSON</summary><pre>$document</pre></details>
</html>
""")


def page(
    title: str, outcomes: Sequence[Outcome], image: bytes, document: Mapping[str, Any], share: float
) -> str:
    """Return the page; who misses the objective of that ``share`` is marked."""
    return PAGE.substitute(
        title=escape(title),
        heads="".join(f"<th>{escape(head)}</th>" for head, _, _ in COLUMNS),
        rows="".join(_row(outcome, share) for outcome in outcomes),
        picture=base64.b64encode(image).decode(),
        document=escape(json.dumps(document, indent=2)),
    )


def cells(outcome: Outcome) -> list[str]:
    """Return what the columns say of one who scaled."""
    found = outcome.document | {"lost": outcome.cut + outcome.unanswered}
    return ["-" if found[name] is None else text.format(found[name]) for _, name, text in COLUMNS]


def _row(outcome: Outcome, share: float) -> str:
    mark = ' class="bad"' if outcome.slo_attainment < share else ""
    found = "".join(f"<td{mark if n == 1 else ''}>{c}</td>" for n, c in enumerate(cells(outcome)))
    return f"<tr><td>{escape(outcome.name)}</td>{found}</tr>"
