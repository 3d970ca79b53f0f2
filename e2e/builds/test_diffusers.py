"""The builder's image makes a smaller pipeline of the tiny one, and the engine paints from it."""

import json
import subprocess
import sys

from e2e.images import machine
from e2e.images.__main__ import build
from e2e.images.machine import Places
from e2e.images.recipe import ROOT
from e2e.images.store import Store

SMOKE = ROOT / "runtimes" / "diffusers-builder" / "smoke.py"


def test_a_real_pipeline_is_made_smaller_and_served() -> None:
    """8-bit integers by torchao in a restricted container, once; the engine paints from them."""
    places = Places.of_environment()
    store = Store(places)
    with machine.alone(places):
        machine.prepare(places)
        build(store, ["diffusers-builder"])
    with store.mounted("diffusers-builder") as rootfs:
        done = subprocess.run(
            [sys.executable, SMOKE, rootfs, "--methods", "Int8WeightOnly"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    figures = json.loads(done.stdout)["Int8WeightOnly"]
    assert figures["quality"]["ssim"] > 0.9
