"""Builds two models by every method, has vLLM serve what it can, and prints all figures as JSON.

Usage, as root: `.venv/bin/python runtimes/llm-compressor/figures.py ROOTFS VLLM_ROOTFS FOLDER` with
the mounted root file systems of this image and of `vllm-cpu`. What is measured is written below
FOLDER/rows at once, and the training of the small model goes on where it was: after a kill the same
command does what is left. Remove FOLDER/rows to measure anew.
"""

import argparse
import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "vllm"))
import smoke as vllm

from modelops.builders.builder import Scheme
from modelops.builders.tools import BUILDERS

HERE = Path(__file__).parent
SCRIPTS = (HERE / "small_llama.py", HERE / "paces.py", vllm.TINY_LLAMA)
MODELS = {"tiny": "tiny_llama.py", "small": "small_llama.py"}
BASE = "BF16"
USUAL = (
    "RTN:W4A16",
    "GPTQ:W4A16",
    "GPTQ:W8A8",
    "SmoothQuant:W8A8",
    "FP8:FP8_DYNAMIC",
    "FP8:FP8",
    "FP8:FP8_BLOCK",
    "NVFP4:NVFP4",
    "MXFP4:MXFP4",
    "AWQ:W4A16_ASYM",
)
"""One scheme of each kind: the others differ in what is beside the weights."""
OVERHEAD = "GPTQ:W4A16"
"""What a whole build is held beside its bare tool with: by far the most used."""
AGAIN = "again"
CALIBRATION = {"samples": 64, "sequenceLength": 256}
GATE = {"maxDrop": "10", "samples": 64}
ENVIRONMENT = (
    "OMP_NUM_THREADS=1",  # two that wait for each other tell more of a busy machine than of a build
    "PATH=/opt/venv/bin:/usr/bin:/bin",
    "HOME=/tmp",
    "HF_HUB_OFFLINE=1",
    "PYTHONPATH=/opt/modelops",
)
HOURS = 3600.0


def known() -> dict[str, Scheme]:
    """Every method with each of its schemes."""
    methods = BUILDERS["llm-compressor"].methods.values()
    return {
        f"{method.name}:{scheme.name}": scheme for method in methods for scheme in method.schemes
    }


def once(file: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file holds, or else what is measured now and written there."""
    if not file.exists():
        say(f"{file.parent.name}: {file.stem}")
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(measure()))
        new.replace(file)
    return json.loads(file.read_text())


def run(
    rootfs: Path, folder: Path, *command: str, environment: tuple[str, ...] = ENVIRONMENT
) -> dict[str, float]:
    """Run a command in a container to its end; the seconds and the processor's that it took."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with vllm.container(rootfs, folder, command, environment) as container:
        code = container.process.wait(HOURS)
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    if code:
        sys.exit(f"{' '.join(command)} exited with {code}; its log is above")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": ended - begin, "cpuSeconds": cpu}


def build(
    rootfs: Path, folder: Path, model: str, scheme: str, out: str = "artifacts"
) -> dict[str, Any]:
    """What a build says at its end, and what it took."""
    method, _, name = scheme.partition(":")
    recipe = {
        "source": {"uri": f"pvc://models/{model}", "digest": model},
        "builder": "llm-compressor",
        "builderImage": "llm-compressor@sha256:0",
        "method": method,
        "options": {"scheme": name, "calibration": CALIBRATION},
        "gate": GATE,
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))
    words = folder / "last-words"
    words.write_text("")
    words.chmod(0o666)
    took = run(
        rootfs, folder, "python3", "-m", "modelops.building.main",
        "--recipe=/weights/recipe.json", f"--source=/weights/{model}",
        f"--out=/weights/{out}", "--last-words=/weights/last-words",
    )  # fmt: skip
    return json.loads(words.read_text()) | {"took": took}


def bare(rootfs: Path, folder: Path, model: str, recipe: dict[str, Any]) -> dict[str, float]:
    """What the tool alone takes for the recipe of an artifact."""
    shutil.rmtree(folder / "bare", ignore_errors=True)
    for name in ("making", "kept", "scratch"):
        (folder / "bare" / name).mkdir(parents=True)
        (folder / "bare" / name).chmod(0o777)
    order = {
        "recipe": recipe,
        "source": f"/weights/{model}",
        "making": "/weights/bare/making",
        "made": "/weights/bare/making",
        "kept": "/weights/bare/kept",
        "scratch": "/weights/bare/scratch",
        "calibration": None,
        "stages": ["make", "measure"],
    }
    (folder / "order.json").write_text(json.dumps(order))
    return run(rootfs, folder, "python3", "/opt/build/tool.py", "/weights/order.json")


def overhead(rootfs: Path, folder: Path, model: str) -> dict[str, Any]:
    """A build and its bare tool, one after the other."""
    shutil.rmtree(folder / AGAIN, ignore_errors=True)
    said = build(rootfs, folder, model, OVERHEAD, AGAIN)
    manifest = json.loads((folder / AGAIN / said["digest"] / "artifact.json").read_text())
    return {"build": said["took"], "bare": bare(rootfs, folder, model, manifest["recipe"])}


def paces(rootfs: Path, folder: Path, model: str, built: dict[str, str]) -> dict[str, Any]:
    """Tokens per second of the base and of each artifact, round by round."""
    places = {BASE: f"/weights/{model}"}
    places |= {name: f"/weights/artifacts/{digest}" for name, digest in built.items()}
    named = (f"{name}={place}" for name, place in places.items())
    command = ("python3", "/weights/paces.py", "/weights/paces.json", *named)
    run(rootfs, folder, *command, environment=vllm.ENVIRONMENT)
    return json.loads((folder / "paces.json").read_text())


def measured(
    roots: tuple[Path, Path], folder: Path, model: str, schemes: list[str]
) -> Iterator[tuple[str, Any]]:
    """The figures of one model, each measured once."""
    builder, engine = roots
    rows = folder / "rows" / model
    built = {
        name: once(rows / f"{name}.json", lambda name=name: build(builder, folder, model, name))
        for name in schemes
    }
    yield "builds", built
    served = {name: built[name]["digest"] for name in schemes if "cpu" in known()[name].served_on}
    yield (
        "paces",
        once(rows / f"paces-{len(served)}.json", lambda: paces(engine, folder, model, served)),
    )
    yield "overhead", once(rows / "overhead.json", lambda: overhead(builder, folder, model))


def prepare(rootfs: Path, folder: Path, model: str) -> None:
    """Make a model unless it is there."""
    if not (folder / model / "model.safetensors").exists():
        say(f"{model}: make the model")
        run(rootfs, folder, "python3", f"/weights/{MODELS[model]}", f"/weights/{model}")


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rootfs", type=Path, help="the root file system of llm-compressor, mounted")
    parser.add_argument("vllm", type=Path, help="the root file system of vllm-cpu, mounted")
    parser.add_argument("folder", type=Path, help="where models, artifacts and figures are kept")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--schemes", nargs="*", choices=known(), default=USUAL)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    options.folder.chmod(0o777)
    for script in SCRIPTS:
        shutil.copy(script, options.folder)
    figures = {}
    for model in options.models:
        prepare(options.rootfs, options.folder, model)
        roots = options.rootfs, options.vllm
        figures[model] = dict(measured(roots, options.folder, model, options.schemes))
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
