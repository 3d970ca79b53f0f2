"""Builds from a tiny model with the image as a Job's pod would, then serves what was made.

Usage, as root: `python3 runtimes/llm-compressor/smoke.py ROOTFS VLLM_ROOTFS [--methods NAME...]`
with the mounted root file systems (`buildah mount`) of this image and of `vllm-cpu`. Containers
have a read-only root, uid 10001 and no capabilities. Prints the figures as one JSON object.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "vllm"))
import smoke as vllm

ENVIRONMENT = (
    "PATH=/opt/venv/bin:/usr/bin:/bin",
    "HOME=/tmp",
    "HF_HUB_OFFLINE=1",
    "PYTHONPATH=/opt/modelops",
)
KEPT = "cut/*.partial/kept/*.safetensors"
CALIBRATION = {"samples": 16, "sequenceLength": 128}
RECIPES = {
    "FP8": {"scheme": "FP8_DYNAMIC"},
    "GPTQ": {"scheme": "W4A16", "calibration": CALIBRATION},
    "AWQ": {"scheme": "W4A16_ASYM", "calibration": CALIBRATION},
    "SmoothQuant": {"scheme": "W8A8", "calibration": CALIBRATION},
}
ARTIFACTS = "artifacts"


def command(out: str) -> tuple[str, ...]:
    """The command that builds into a folder."""
    return (
        "python3", "-m", "modelops.building.main", "--recipe=/weights/recipe.json",
        "--source=/weights/model", f"--out=/weights/{out}", "--last-words=/weights/last-words",
    )  # fmt: skip


def build(rootfs: Path, folder: Path, method: str, out: str = ARTIFACTS) -> dict[str, Any]:
    """The last words of a build of the model in `folder` by one method."""
    recipe = {
        "source": {"uri": "pvc://models/tiny", "digest": "tiny"},
        "builder": "llm-compressor",
        "builderImage": "llm-compressor@sha256:0",
        "method": method,
        "options": RECIPES[method],
        "gate": {"maxDrop": "0.5", "samples": 4},
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))
    words = folder / "last-words"
    words.touch()
    words.chmod(0o666)
    with vllm.container(rootfs, folder, command(out), ENVIRONMENT) as builder:
        code = builder.process.wait(600)
    said = json.loads(words.read_text())
    assert code == 0, said
    return said


def survives(rootfs: Path, folder: Path, digest: str) -> None:
    """Killed with a part of a layer kept, the next run takes that up and makes the same bytes."""
    with vllm.container(rootfs, folder, command("cut"), ENVIRONMENT) as builder:
        while not (kept := sorted(folder.glob(KEPT))):
            assert builder.process.poll() is None, "it ended before anything was kept"
            time.sleep(0.05)
        builder.kill("KILL")
        builder.process.wait()
    seen = {file: file.stat().st_ino for file in kept}
    with vllm.container(rootfs, folder, command("cut"), ENVIRONMENT) as builder:
        while len(sorted(folder.glob(KEPT))) <= len(kept):
            assert builder.process.poll() is None, "it ended without keeping any more"
            time.sleep(0.05)
        assert {file: file.stat().st_ino for file in kept} == seen, "a kept layer was done again"
        assert builder.process.wait(600) == 0
    one, other = (folder / out / digest / "model.safetensors" for out in (ARTIFACTS, "cut"))
    assert one.read_bytes() == other.read_bytes(), "the build that was cut made other weights"


def check(folder: Path, said: dict[str, Any]) -> Path:
    """The artifact's folder, once all of it is as the last words say."""
    artifact = folder / "artifacts" / said["digest"]
    manifest = json.loads((artifact / "artifact.json").read_text())
    assert manifest["digest"] == said["digest"]
    assert said["bytesAfter"] < said["bytesBefore"], said
    assert 0 < said["quality"]["kl"] < 1, said
    assert said["gate"]["passed"], said
    config = json.loads((artifact / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"
    return artifact


def serve(rootfs: Path, folder: Path, artifact: Path) -> None:
    """Serves the artifact with vLLM, which has to answer a chat."""
    place = f"--model=/weights/artifacts/{artifact.name}"
    command = tuple(place if w.startswith("--model=") else w for w in vllm.ENGINE)
    with vllm.container(rootfs, folder, command) as engine:
        vllm.until_ready(engine)
        answer = json.loads(vllm.chat(8).read())
        assert answer["usage"]["completion_tokens"] == 8, answer


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rootfs", type=Path, help="the root file system of llm-compressor, mounted")
    parser.add_argument("vllm", type=Path, help="the root file system of vllm-cpu, mounted")
    parser.add_argument("--methods", nargs="*", choices=RECIPES, default=list(RECIPES))
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        make = ("python3", "/script.py", "/weights/model")
        with vllm.container(options.vllm, folder, make) as maker:
            assert maker.process.wait(60) == 0, "the model was not made; the log is above"
        for method in options.methods:
            said = build(options.rootfs, folder, method)
            serve(options.vllm, folder, check(folder, said))
            assert build(options.rootfs, folder, method)["reason"] == "AlreadyBuilt"
            if method == "GPTQ":
                survives(options.rootfs, folder, said["digest"])
            figures[method] = {key: said[key] for key in ("seconds", "bytesAfter", "quality")}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
