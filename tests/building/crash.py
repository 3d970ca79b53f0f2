"""Ends a build before each single step that changes the disk, then builds again.

Run as ``python crash.py FOLDER``, with a model in FOLDER/source and recipe.json beside it; prints
one JSON object a line: the step that was cut, the artifact's state then, and after the next run.
"""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelops.builders.recipe import read_recipe
from modelops.building.progress import Progress
from modelops.building.tool import Tool
from modelops.building.work import STAGES, Order, build

STEPS = frozenset({"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "subprocess.Popen"})
KILLED = 137
TOY = Path(__file__).with_name("toy_tool.py")


def main(root: Path) -> None:
    """Cut every step once."""
    step = 0
    cut = True
    while cut:
        step += 1
        store = root / "stores" / str(step)
        cut = _in_child(lambda store=store, step=step: _build(root, store, step)) == KILLED
        told = {"step": step, "cut": cut, "after_cut": _state(store)}
        _in_child(lambda store=store: _build(root, store, None))
        rest = [path.name for path in store.glob("*.partial")]
        print(json.dumps(told | {"after_next": _state(store), "rest": rest}), flush=True)  # noqa: T201
        shutil.rmtree(store)


def _in_child(act: Callable[[], None]) -> int:
    child = os.fork()
    if not child:
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _build(root: Path, store: Path, step: int | None) -> None:
    recipe = read_recipe((root / "recipe.json").read_bytes())
    if step:
        sys.addaudithook(_Guillotine(store, step))
    tool = Tool((sys.executable, "-S", "-E", str(TOY)), io.StringIO())
    build(Order(recipe, root / "source", store), tool, Progress(io.StringIO(), STAGES))


class _Guillotine:
    """Kills the process before the n-th step in a folder."""

    def __init__(self, root: Path, step: int) -> None:
        self._root = str(root)
        self._left = step

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in STEPS and self._root in str(arguments):
            self._left -= 1
            if not self._left:
                os._exit(KILLED)


def _state(store: Path) -> str:
    artifacts = [path for path in store.glob("*") if not path.name.endswith(".partial")]
    artifacts = [path for path in artifacts if path.name != ".locks"]
    if not artifacts:
        return "absent"
    manifest = json.loads((artifacts[0] / "artifact.json").read_text())
    files = {path.name: path.stat().st_size for path in artifacts[0].iterdir()}
    del files["artifact.json"]
    return "whole" if files == {e["path"]: e["bytes"] for e in manifest["files"]} else "broken"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
