"""Ends a fetch before each single step that changes the disk, then fetches again.

Run as ``python crash.py ENDPOINT FOLDER``; prints one JSON object a line: the step that was cut,
whether the engine's link was usable or absent then, and whether the next run put it right.
"""

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelops.fetch.events import Events
from modelops.fetch.hub import HubStore
from modelops.fetch.order import Order
from modelops.fetch.transfer import Transfer
from modelops.fetch.work import work

PRELOADED = (HubStore, Transfer)
STEPS = frozenset({"open", "os.mkdir", "os.rename", "os.remove", "os.symlink", "fcntl.flock"})
KILLED = 137


def main(endpoint: str, root: Path) -> None:
    """Cut every step once."""
    step = 0
    cut = True
    while cut:
        step += 1
        order = _order(endpoint, root / str(step))
        cut = _in_child(lambda order=order, step=step: _fetch(order, step)) == KILLED
        told = {"step": step, "cut": cut, "after_cut": _state(order)}
        _in_child(lambda order=order: _fetch(order, None))
        print(json.dumps(told | {"after_next": _state(order)}), flush=True)  # noqa: T201


def _order(endpoint: str, root: Path) -> Order:
    root.mkdir()
    return Order(
        uri="hf://acme/tiny",
        endpoint=endpoint,
        link=root / "weights" / "model",
        cache=root / "cache",
        pin="a",
    )


def _in_child(act: Callable[[], None]) -> int:
    child = os.fork()
    if not child:
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _fetch(order: Order, step: int | None) -> None:
    if step:
        sys.addaudithook(_Guillotine(order.link.parent.parent, step))
    work(order, Events(io.StringIO()))


class _Guillotine:
    """Kills the process before the n-th step below a folder."""

    def __init__(self, root: Path, step: int) -> None:
        self._root = str(root)
        self._left = step

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in STEPS and (event == "fcntl.flock" or self._root in str(arguments[0])):
            self._left -= 1
            if not self._left:
                os._exit(KILLED)


def _state(order: Order) -> str:
    if not order.link.is_symlink():
        return "absent"
    artifact = json.loads((order.link / "artifact.json").read_text())
    whole = all((order.link / f["path"]).stat().st_size == f["size"] for f in artifact["files"])
    return "usable" if whole else "broken"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
