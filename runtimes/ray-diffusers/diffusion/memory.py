"""How much memory there is: what does not fit fails by itself, and nobody is killed for it."""

import os
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where Linux tells what a container may have, in its newer and its older way."""

SHARE: Final = 0.9
"""Of that this process takes so much at most; the rest is Ray's."""


def bound(limits: Iterable[Path] = LIMITS) -> int:
    """Have this process refuse memory that the container has not; returns the bytes it may take.

    Without that Linux promises what it has not, and kills who comes to use it.
    """
    most = int(SHARE * min(_machine(), *(_said(path) for path in limits)))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    return most


def _machine() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _said(path: Path) -> int:
    """Return the bytes that a file tells; as good as endless where it tells none."""
    text = path.read_text().strip() if path.is_file() else ""
    return int(text) if text.isdigit() else 2**63
