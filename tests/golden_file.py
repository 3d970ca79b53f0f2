"""Text that was reviewed once and is kept in a file."""

from difflib import unified_diff
from pathlib import Path

import pytest


def check(golden: Path, now: str, request: pytest.FixtureRequest) -> None:
    """Fail with a diff when text is not that of its file; `--update-golden` accepts it."""
    if request.config.getoption("--update-golden"):
        golden.write_text(now, encoding="utf-8")
    before = golden.read_text(encoding="utf-8") if golden.exists() else ""
    changes = unified_diff(before.splitlines(), now.splitlines(), "reviewed", "now", lineterm="")
    told = "\n".join(changes)
    assert not told, f"pytest --update-golden accepts this:\n{told}"
