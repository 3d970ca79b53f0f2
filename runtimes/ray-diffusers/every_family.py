"""Makes pictures with a tiny pipeline of each family: `python3 every_family.py MODELS`.

Each way that a family has is gone once; equal seeds make equal pictures, alone and together. Prints
how long each took, in seconds.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from diffusion.options import Options
from diffusion.studio import Frame, Shown, Studio
from PIL import Image, ImageChops

FAMILIES = ("sd15", "sdxl", "sd3", "flux", "qwen-image", "z-image")
SMALL = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 3, "seed": 7}


def paint(
    studio: Studio, operation: str = "images.generate", files: Any = None, **asked: Any
) -> list[Shown]:
    """The pictures of a job."""
    body = {"id": "a", "operation": operation, "input": {**SMALL, **asked}, "files": files or {}}
    job = studio.accept({**body, "output": "/scratch/a"})
    return studio.paint([Frame(job, index) for index in range(len(job.seeds))], lambda _: None)


def every_way(studio: Studio) -> None:
    """Text to picture, picture to picture and inpainting, each with its own outcome."""
    first, second = (shown.image for shown in paint(studio, n=2))
    assert not alike(first, second)
    assert alike(paint(studio, seed=8)[0].image, second)
    paint(studio, seed=3)[0].image.save("/scratch/in.png")
    Image.new("L", (64, 64), 255).save("/scratch/mask.png")
    image = {"image": "/scratch/in.png"}
    varied = paint(studio, "images.vary", image)[0].image
    masked = paint(studio, "images.edit", image | {"mask": "/scratch/mask.png"})[0].image
    assert not alike(varied, masked)
    assert not alike(varied, first)


def alike(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures are the same up to how numbers are rounded in batches of two sizes."""
    return max(high for _, high in ImageChops.difference(one, other).getextrema()) <= 1


def opened(models: Path, family: str, **more: Any) -> Studio:
    """A studio of a family, which has made its first picture."""
    studio = Studio.open(Options(model=models / family, safety="Off", **more))
    studio.rehearse()
    return studio


def main() -> None:
    """The command line."""
    models = Path(sys.argv[1])
    took = {}
    for family in FAMILIES:
        began = time.monotonic()
        every_way(opened(models, family))
        took[family] = round(time.monotonic() - began, 1)
    for scheme in ("Int8WeightOnly", "Float8WeightOnly"):
        every_way(opened(models, "sd3", quantization=scheme))
    sys.stderr.write(json.dumps(took) + "\n")


if __name__ == "__main__":
    main()
