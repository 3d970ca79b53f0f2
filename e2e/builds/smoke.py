"""A builder's own smoke test, on its image as this machine builds it."""

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

from e2e.images import machine
from e2e.images.__main__ import build
from e2e.images.machine import Places
from e2e.images.recipe import ROOT
from e2e.images.store import Store


def smoke(runtime: str, images: tuple[str, ...], *options: str) -> dict[str, Any]:
    """Run `runtimes/RUNTIME/smoke.py` on these images, mounted; return the figures it prints."""
    places = Places.of_environment()
    store = Store(places)
    with machine.alone(places):
        machine.prepare(places)
        build(store, list(images))
    with ExitStack() as stack:
        mounted = [stack.enter_context(store.mounted(name)) for name in images]
        done = subprocess.run(
            [sys.executable, ROOT / "runtimes" / runtime / "smoke.py", *mounted, *options],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
