"""The table of figures in docs/benchmarks.md."""

from e2e.bench.record import HEAD, Figure, renewed

PAGE = f"""before
<!-- bench:begin -->
{HEAD}
| `old` | 1 | s |  |
| `kept` | 2 | s | rival: 3 |
<!-- bench:end -->
after
"""


def test_what_was_not_measured_stays() -> None:
    """A run renews its own rows and adds new ones; the others and the text stay as they are."""
    page = renewed(PAGE, [Figure("old", 4.0, "s", {"rival": 5.0}), Figure("new", 6.0, "s")])
    assert page == PAGE.replace(
        "| `old` | 1 | s |  |\n| `kept` | 2 | s | rival: 3 |\n",
        "| `old` | 4 | s | rival: 5 |\n| `kept` | 2 | s | rival: 3 |\n| `new` | 6 | s |  |\n",
    )
