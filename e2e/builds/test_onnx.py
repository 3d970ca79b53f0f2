"""The builder's image exports tiny models, and onnxruntime runs what it made."""

import json
import subprocess
import sys

from e2e.images import machine
from e2e.images.__main__ import build
from e2e.images.machine import Places
from e2e.images.recipe import ROOT
from e2e.images.store import Store

SMOKE = ROOT / "runtimes" / "onnx" / "smoke.py"


def test_real_graphs_are_made_and_run() -> None:
    """An encoder of 8 bits and a detector of 16, in a restricted container, answer a batch."""
    places = Places.of_environment()
    store = Store(places)
    with machine.alone(places):
        machine.prepare(places)
        build(store, ["onnx-builder"])
    with store.mounted("onnx-builder") as rootfs:
        done = subprocess.run(
            [sys.executable, SMOKE, rootfs, "--builds", "bert:INT8", "yolos:FP16"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    figures = json.loads(done.stdout)
    assert figures["bert:INT8"]["quality"]["inputs"] == 8
