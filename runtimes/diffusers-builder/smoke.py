"""Builds from a tiny pipeline with the image as a Job's pod would, then paints from what was made.

Usage, as root: `.venv/bin/python runtimes/diffusers-builder/smoke.py ROOTFS [--methods NAME...]`
with the image's mounted root file system (`buildah mount`), which has the engine in it. Containers
have a read-only root, uid 10001 and no capabilities. Prints the figures as one JSON object.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "ray-diffusers"))
import smoke as served
from sandbox import PATIENCE_SECONDS, container, make

METHODS = ("Int8WeightOnly", "Float8WeightOnly")
PATHS = ("PYTHONPATH=/opt/modelops:/opt/diffusion",)
SAMPLES = 4
BUILD = (
    "python3", "-m", "modelops.building.main", "--recipe=/models/recipe.json",
    "--source=/models/sd15", "--out=/models/artifacts", "--last-words=/models/last-words",
)  # fmt: skip


def build(rootfs: Path, models: Path, method: str, **gate: Any) -> dict[str, Any]:
    """The last words of a build of the pipeline by one method."""
    recipe = {
        "source": {"uri": "pvc://models/sd15", "digest": "sd15"},
        "builder": "diffusers",
        "builderImage": "diffusers-builder@sha256:0",
        "method": method,
        "gate": {"samples": SAMPLES, **gate},
    }
    (models / "recipe.json").write_text(json.dumps(recipe))
    words = models / "last-words"
    words.touch()
    words.chmod(0o666)
    with container(rootfs, models.parent, BUILD, PATHS) as builder:
        code = builder.process.wait(PATIENCE_SECONDS)
    said: dict[str, Any] = json.loads(words.read_text())
    assert code == 0, said
    return said


def check(models: Path, said: dict[str, Any]) -> str:
    """The artifact's name, once all of it is as the last words say."""
    artifact = models / "artifacts" / said["digest"]
    manifest = json.loads((artifact / "artifact.json").read_text())
    quality = said["quality"]
    assert manifest["format"] == "diffusers"
    assert said["bytesAfter"] < said["bytesBefore"], said
    assert 0 < quality["pixels"] < 0.05, said
    assert 0.9 < quality["ssim"] < 1, said
    assert quality["pictures"] == SAMPLES
    assert said["gate"]["passed"], said
    assert said["gate"]["metric"] == "pixels"
    config = json.loads((artifact / "unet" / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "torchao"
    assert not list(artifact.rglob("*.bin")), "weights are pickled"
    return f"artifacts/{artifact.name}"


def paint(rootfs: Path, folder: Path, model: str, name: str) -> bytes:
    """A picture from the engine that serves a model, of one prompt and seed."""
    with container(rootfs, folder, served.engine(model)) as engine:
        served.until_ready(engine)
        return served.picture(folder, served.run(name, seed=11))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rootfs", type=Path, help="the image's root file system, mounted")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        models = folder / "models"
        for each in (models, folder / "scratch"):
            each.mkdir()
            each.chmod(0o777)
        make(options.rootfs, folder, "/script/tiny_pipelines.py", "/models", "sd15")
        base = paint(options.rootfs, folder, "sd15", "base")
        for method in options.methods:
            said = build(options.rootfs, models, method)
            artifact = check(models, said)
            assert not served.same(paint(options.rootfs, folder, artifact, method), base)
            again = build(options.rootfs, models, method, metric="ssim", maxDrop="0")
            assert again["reason"] == "AlreadyBuilt"
            assert not again["gate"]["passed"], "a gate that allows no loss was passed"
            figures[method] = {key: said[key] for key in ("seconds", "bytesAfter", "quality")}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
