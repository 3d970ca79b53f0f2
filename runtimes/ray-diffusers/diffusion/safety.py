"""Who judges pictures: the pipeline's own safety checker, or a classifier of pictures."""

import json
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    CLIPImageProcessor,
)

_UNSAFE: Final = ("nsfw", "unsafe", "porn", "hentai", "sexy", "explicit")
_SURE: Final = 0.5


class Judge(Protocol):
    """Says of each picture whether it must not be shown."""

    def __call__(self, images: list[Image.Image]) -> list[bool]:
        """Return a verdict on each picture."""
        ...


class Concepts:
    """The safety checker of Stable Diffusion: pictures near to a concept are flagged."""

    def __init__(self, folder: Path, prepare: Path, device: str) -> None:
        """Load the checker, and what prepares pictures for it."""
        self._prepare = CLIPImageProcessor.from_pretrained(prepare, local_files_only=True)
        loaded = StableDiffusionSafetyChecker.from_pretrained(folder, local_files_only=True)
        self._checker = loaded.to(device).eval()

    def __call__(self, images: list[Image.Image]) -> list[bool]:
        """Return a verdict on each picture."""
        prepared = self._prepare(images, return_tensors="pt").pixel_values
        held = prepared.to(self._checker.device, self._checker.dtype)
        shown = np.zeros((len(images), 1, 1, 3), np.float32)  # blackened where flagged
        with torch.inference_mode():
            _, flagged = self._checker(clip_input=held, images=shown)
        return [bool(each) for each in flagged]


class Labels:
    """A classifier one of whose labels says that a picture is not for everyone."""

    def __init__(self, folder: Path, device: str) -> None:
        """Load the classifier; raises ValueError where no label of it says that."""
        self._prepare = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        loaded = AutoModelForImageClassification.from_pretrained(folder, local_files_only=True)
        self._model = loaded.to(device).eval()
        labels = self._model.config.id2label
        self._unsafe = [i for i, label in labels.items() if label.lower() in _UNSAFE]
        if not self._unsafe:
            raise ValueError(f"no label of the safety checker is one of {', '.join(_UNSAFE)}")

    def __call__(self, images: list[Image.Image]) -> list[bool]:
        """Return a verdict on each picture."""
        prepared = self._prepare(images, return_tensors="pt").pixel_values.to(self._model.device)
        with torch.inference_mode():
            likely = self._model(prepared).logits.softmax(-1)
        return [bool(each) for each in likely[:, self._unsafe].sum(-1) > _SURE]


def judge(folder: Path, prepare: Path, device: str) -> Judge:
    """Return the judge that a folder holds.

    ``prepare`` says how pictures are made ready for one that does not say it itself.
    """
    config = json.loads((folder / "config.json").read_text())
    made = " ".join(config.get("architectures") or ())
    if "SafetyChecker" in made:
        own = (folder / "preprocessor_config.json").is_file()
        return Concepts(folder, folder if own else prepare, device)
    return Labels(folder, device)
