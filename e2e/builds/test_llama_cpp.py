"""The builder's image makes GGUF files of the tiny model, and llama.cpp's image serves them."""

import json
import subprocess
import sys

from e2e.images import machine
from e2e.images.__main__ import build
from e2e.images.machine import Places
from e2e.images.recipe import ROOT
from e2e.images.store import Store

SMOKE = ROOT / "runtimes" / "llama-cpp" / "smoke.py"
RECIPES = ("Q4_K_M", "IMATRIX")


def test_real_gguf_files_are_made_and_served() -> None:
    """With and without an imatrix, in restricted containers, once; llama-server answers a chat."""
    places = Places.of_environment()
    store = Store(places)
    with machine.alone(places):
        machine.prepare(places)
        build(store, ["llama-cpp-builder", "llama-cpp", "vllm-cpu"])
    with (
        store.mounted("llama-cpp-builder") as builder,
        store.mounted("llama-cpp") as engine,
        store.mounted("vllm-cpu") as vllm,
    ):
        done = subprocess.run(
            [sys.executable, SMOKE, builder, engine, vllm, "--recipes", *RECIPES],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    figures = json.loads(done.stdout)
    assert all(figures[name]["bytesAfter"] > 0 for name in RECIPES)
