"""Builds from tiny models with the image as a Job's pod would; onnxruntime runs what was made.

Usage, as root: `python3 runtimes/onnx/smoke.py ROOTFS [--builds MODEL:SCHEME...]` with the image's
mounted root file system (`buildah mount`). Containers have a read-only root, uid 10001 and no
capabilities. Prints the figures as one JSON object.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "ray-diffusers"))
from sandbox import PATIENCE_SECONDS, container

HERE = Path(__file__).parent
MODELS = ("bert", "vit", "yolos")
BUILDS = tuple(f"{model}:{scheme}" for model in MODELS for scheme in ("INT8", "FP16"))
PATHS = ("PYTHONPATH=/opt/modelops",)
RUN = """
import numpy, onnxruntime, sys
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
def value(each):
    shape = [3 if isinstance(n, str) else n for n in each.shape]
    whole = each.type == "tensor(int64)"
    return numpy.ones(shape, numpy.int64) if whole else numpy.zeros(shape, numpy.float32)
answers = session.run(None, {each.name: value(each) for each in session.get_inputs()})
assert all(len(a) == 3 and numpy.isfinite(a).all() for a in answers)
"""


def build(rootfs: Path, models: Path, model: str, scheme: str) -> dict[str, Any]:
    """The last words of a build of one model."""
    recipe = {
        "source": {"uri": f"pvc://models/{model}", "digest": model},
        "builder": "onnx",
        "builderImage": "onnx-builder@sha256:0",
        "method": "ONNX",
        "options": {"scheme": scheme},
        "gate": {"samples": 8},
    }
    (models / "recipe.json").write_text(json.dumps(recipe))
    words = models / "last-words"
    words.touch()
    words.chmod(0o666)
    command = (
        "python3", "-m", "modelops.building.main", "--recipe=/models/recipe.json",
        f"--source=/models/{model}", "--out=/models/artifacts", "--last-words=/models/last-words",
    )  # fmt: skip
    ended(rootfs, models.parent, *command)
    said: dict[str, Any] = json.loads(words.read_text())
    return said


def ended(rootfs: Path, folder: Path, *command: str) -> None:
    """Runs a command in the image to its good end."""
    with container(rootfs, folder, command, PATHS) as started:
        assert started.process.wait(PATIENCE_SECONDS) == 0, "it failed; the log is above"


def check(rootfs: Path, models: Path, said: dict[str, Any]) -> None:
    """The artifact is what the last words say, and three inputs at once are answered by it."""
    artifact = models / "artifacts" / said["digest"]
    manifest = json.loads((artifact / "artifact.json").read_text())
    assert manifest["format"] == "onnx"
    assert said["bytesAfter"] < said["bytesBefore"], said
    assert said["gate"] | {"metric": "cosine", "passed": True} == said["gate"], said
    assert 0.99 < said["quality"]["cosine"] <= 1, said
    assert said["quality"]["rank"] > 0.9, said
    run = ("python3", "-c", RUN, f"/models/artifacts/{said['digest']}/model.onnx")
    ended(rootfs, models.parent, *run)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rootfs", type=Path, help="the image's root file system, mounted")
    parser.add_argument("--builds", nargs="*", choices=BUILDS, default=list(BUILDS))
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        models = folder / "models"
        for each in (models, folder / "scratch"):
            each.mkdir()
            each.chmod(0o777)
        script = (HERE / "tiny_models.py").read_text()
        ended(options.rootfs, folder, "python3", "-W", "ignore", "-c", script, "/models")
        for each in options.builds:
            said = build(options.rootfs, models, *each.split(":"))
            check(options.rootfs, models, said)
            figures[each] = {
                k: said[k] for k in ("seconds", "bytesBefore", "bytesAfter", "quality")
            }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
