"""Quantizes a language model by llama.cpp's own tools."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from modelops.builders.recipe import BUILTIN, Calibration, as_recipe
from modelops.building.broken import Broken
from modelops.building.text import calibration_text, read_text

Say = Callable[[Mapping[str, Any]], None]

TOOLS = Path("/opt/llama/bin")
BUILD = Path(__file__).parent
ARTIFACT = "model.gguf"
_THREADS = str(len(os.sched_getaffinity(0)))


def make(order: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Quantize the source into the order's folder; returns what was used for it."""
    recipe = as_recipe(order["recipe"])
    base = converted(order)
    say({"stage": "make", "percent": 40})
    wanted = recipe.options.calibration
    weighed = ["--imatrix", _importance(order, wanted, base)] if wanted else []
    say({"stage": "make", "percent": 70})
    target = Path(order["making"]) / ARTIFACT
    run(TOOLS / "llama-quantize", *weighed, base, target, recipe.options.scheme, _THREADS)
    return {"tools": {"llama.cpp": _version()}, "device": "cpu", "devices": 0}


def converted(order: Mapping[str, Any]) -> Path:
    """The source as GGUF in the precision that it has; converted where it is not there yet."""
    base = Path(order["scratch"]) / "base.gguf"
    if not base.exists():
        part = base.with_suffix(".part")
        run(sys.executable, BUILD / "convert.py", order["source"], part)
        part.rename(base)
    return base


def run(*words: str | Path) -> str:
    """What a tool printed; what it complains about goes to standard error. Raises Broken."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True,
        errors="replace", check=False,
    )  # fmt: skip
    sys.stderr.write(done.stdout + done.stderr)
    if done.returncode:
        raise _broken(Path(words[0]).name, done.returncode, done.stdout + done.stderr)
    return done.stdout + done.stderr


def _importance(order: Mapping[str, Any], wanted: Calibration, base: Path) -> Path:
    """How much each column of the weights matters on the calibration text."""
    file = order["calibration"]
    texts = calibration_text() if wanted.dataset == BUILTIN else read_text(Path(file))
    text, matrix = Path(order["scratch"]) / "text", Path(order["scratch"]) / "imatrix.gguf"
    text.write_text("\n".join(islice(texts, 100_000)))
    run(
        TOOLS / "llama-imatrix", "--model", base, "--file", text, "--output-file", matrix,
        "--chunks", str(wanted.samples), "--ctx-size", str(wanted.sequence_length),
        "--threads", _THREADS,
    )  # fmt: skip
    return matrix


def _broken(tool: str, code: int, said: str) -> Broken:
    if "No space left on device" in said:
        return Broken("DiskFull", "the disk ran full", "give the store's claim more room")
    if re.search(r"Model .* is not supported|pre-tokenizer was not recognized", said):
        return Broken(
            "ArchitectureUnsupported",
            "llama.cpp knows no such architecture or tokenizer",
            "choose another method or model",
            final=True,
        )
    if "you need at least" in said:
        return Broken(
            "CalibrationInvalid",
            "the calibration text is too short",
            "give more text, or lower calibration.sequenceLength",
            final=True,
        )
    if code < 0:
        return Broken(
            "OutOfMemory",
            f"{tool} was killed, most likely because the container's memory did not suffice",
            "raise resources.memory of the build",
        )
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
    return Broken("ToolFailed", f"{tool} exited with {code}: {last[:300]}", "look at the log")


def _version() -> str:
    found = re.search(r"version: (\S+)", run(TOOLS / "llama-perplexity", "--version"))
    return found[1] if found else "unknown"
