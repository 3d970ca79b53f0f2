"""Measures what a quantized pipeline lost: its pictures beside the base's, of the same seeds."""

import gc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusion.family import CHECKER, INDEX, Family, family
from diffusion.studio import read_configs
from numpy.typing import NDArray
from similarity import pixels, ssim

from modelops.builders.recipe import as_recipe

Say = Callable[[Mapping[str, Any]], None]
Picture = NDArray[np.float32]

PROMPTS = (
    "a red apple on a wooden table, studio light",
    "a portrait of an old fisherman, black and white photograph",
    "a city street at night in the rain, neon signs",
    "a watercolour of a mountain lake in autumn",
    "a shop sign that says OPEN",
    "a cat asleep on a pile of books",
    "an isometric drawing of a small workshop",
    "a macro photograph of a dragonfly's wing",
)
EDGES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
LABELS = ("<0.005", "<0.01", "<0.02", "<0.05", "<0.1", "<0.2", "0.2 or more")


def measure(order: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Compare the artifact with its base; only one of them is in memory at a time."""
    count = as_recipe(order["recipe"]).gate.samples
    scratch = Path(order["scratch"])
    for index, picture in enumerate(_pictures(Path(order["source"]), count)):
        np.save(scratch / f"{index}.npy", picture)
        say({"stage": "measure", "percent": 48 * (index + 1) // count})
    gc.collect()
    apart, alike = [], []
    for index, picture in enumerate(_pictures(Path(order["made"]), count)):
        base = np.load(scratch / f"{index}.npy")
        apart.append(pixels(base, picture))
        alike.append(ssim(base, picture))
        say({"stage": "measure", "percent": 50 + 48 * (index + 1) // count})
    return {"quality": _summary(np.asarray(apart), np.asarray(alike))}


def _pictures(folder: Path, count: int) -> Iterator[Picture]:
    """Pictures of the model's own size and steps, each with a seed of its own."""
    configs = read_configs(folder)
    known = family(configs)
    pipe = _load(folder, bare=CHECKER in configs[INDEX])
    for seed in range(count):
        made = pipe(PROMPTS[seed % len(PROMPTS)], **_asked(known, seed), output_type="np")
        yield np.asarray(made.images[0], dtype=np.float32)


def _load(folder: Path, *, bare: bool) -> Any:
    checker = {CHECKER: None, "requires_safety_checker": False} if bare else {}
    pipe = DiffusionPipeline.from_pretrained(
        folder, dtype=torch.bfloat16, local_files_only=True, use_safetensors=True, **checker
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe.to("cuda" if torch.cuda.is_available() else "cpu")


def _asked(known: Family, seed: int) -> dict[str, Any]:
    return {
        "num_inference_steps": known.steps,
        known.guided_by: known.guidance,
        "width": known.side,
        "height": known.side,
        "generator": torch.Generator().manual_seed(seed),
    }


def _summary(apart: NDArray[np.float64], alike: NDArray[np.float64]) -> dict[str, Any]:
    counts = np.bincount(np.digitize(apart, EDGES), minlength=len(EDGES) + 1)
    return {
        "pixels": _number(apart.mean()),
        "pixelsWorst": _number(apart.max()),
        "ssim": _number(alike.mean()),
        "pictures": len(apart),
        "histogram": {
            "labels": LABELS,
            "counts": counts.tolist(),
            "title": "difference of pixels, a picture each",
        },
    }


def _number(value: float) -> float | None:
    """Six digits of a number; None where it is none."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
