"""Builds GGUF files from a tiny model with the image as a Job's pod would, then serves them.

Usage, as root: `python3 runtimes/llama-cpp/smoke.py BUILDER_ROOTFS ROOTFS VLLM_ROOTFS [--recipes
NAME...]` with the mounted root file systems (`buildah mount`) of `llama-cpp-builder`, `llama-cpp`
and, to make the model, `vllm-cpu`. Containers have a read-only root, uid 10001 and no capabilities.
Prints the figures as one JSON object.
"""

import argparse
import json
import sys
import tempfile
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "vllm"))
import smoke as vllm

BUILDER = (
    "PATH=/opt/venv/bin:/usr/bin:/bin",
    "HOME=/tmp",
    "HF_HUB_OFFLINE=1",
    "PYTHONPATH=/opt/modelops",
)
CALIBRATION = {"samples": 8, "sequenceLength": 128}
RECIPES = {
    "Q4_K_M": ("GGUF", {"scheme": "Q4_K_M"}),
    "Q8_0": ("GGUF", {"scheme": "Q8_0"}),
    "IMATRIX": ("GGUF_IMATRIX", {"scheme": "Q4_K_M", "calibration": CALIBRATION}),
}
BUILD = (
    "python3", "-m", "modelops.building.main", "--recipe=/weights/recipe.json",
    "--source=/weights/model", "--out=/weights/artifacts", "--last-words=/weights/last-words",
)  # fmt: skip


def build(rootfs: Path, folder: Path, name: str) -> dict[str, Any]:
    """The last words of a build of the model in `folder` by one recipe."""
    method, options = RECIPES[name]
    recipe = {
        "source": {"uri": "pvc://models/tiny", "digest": "tiny"},
        "builder": "llama-cpp",
        "builderImage": "llama-cpp-builder@sha256:0",
        "method": method,
        "options": options,
        "gate": {"maxDrop": "0.5", "samples": 4},
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))
    words = folder / "last-words"
    words.touch()
    words.chmod(0o666)
    with vllm.container(rootfs, folder, BUILD, BUILDER) as builder:
        code = builder.process.wait(600)
    said = json.loads(words.read_text())
    assert code == 0, said
    return said


def check(folder: Path, said: dict[str, Any]) -> Path:
    """The artifact's folder, once all of it is as the last words say."""
    artifact = folder / "artifacts" / said["digest"]
    assert json.loads((artifact / "artifact.json").read_text())["format"] == "gguf"
    assert (artifact / "model.gguf").stat().st_size == said["bytesAfter"], said
    assert 0 < said["quality"]["kl"] < 0.5, said
    assert said["gate"]["passed"], said
    return artifact


def until_ready(engine: vllm.Container) -> None:
    """Waits until /health answers 200: it answers 503 while the model is loaded."""
    deadline = time.monotonic() + vllm.PATIENCE_SECONDS
    while (status := vllm.health()) != HTTPStatus.OK:
        assert status in {0, HTTPStatus.SERVICE_UNAVAILABLE}, f"/health answered {status}"
        assert engine.process.poll() is None, "the engine ended in start-up; its log is above"
        assert time.monotonic() < deadline, "the engine is not ready"
        time.sleep(0.2)


def serve(rootfs: Path, folder: Path, artifact: Path) -> dict[str, Any]:
    """Serves the artifact with llama-server, which has to answer a chat; returns the answer."""
    command = (
        "python3", "/opt/llama/serve.py", f"/weights/artifacts/{artifact.name}",
        "--alias=tiny", "--host=127.0.0.1", f"--port={vllm.PORT}", "--metrics", "--no-ui",
        "--parallel=4", "--ctx-size=2048", "--offline",
    )  # fmt: skip
    with vllm.container(rootfs, folder, command, ("PATH=/usr/bin:/bin", "HOME=/tmp")) as engine:
        until_ready(engine)
        answer: dict[str, Any] = json.loads(vllm.chat(8).read())
        assert answer["usage"]["completion_tokens"] == 8, answer
        metrics = vllm.ask("GET", "/metrics").read().decode()
        assert "llamacpp:requests_processing" in metrics, metrics
        assert "llamacpp:requests_deferred" in metrics, metrics
    return answer


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("builder", type=Path, help="the root file system of llama-cpp-builder")
    parser.add_argument("rootfs", type=Path, help="the root file system of llama-cpp")
    parser.add_argument("vllm", type=Path, help="the root file system of vllm-cpu")
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES))
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        make = ("python3", "/script.py", "/weights/model")
        with vllm.container(options.vllm, folder, make) as maker:
            assert maker.process.wait(60) == 0, "the model was not made; the log is above"
        for recipe in options.recipes:
            said = build(options.builder, folder, recipe)
            serve(options.rootfs, folder, check(folder, said))
            assert build(options.builder, folder, recipe)["reason"] == "AlreadyBuilt"
            figures[recipe] = {key: said[key] for key in ("seconds", "bytesAfter", "quality")}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
