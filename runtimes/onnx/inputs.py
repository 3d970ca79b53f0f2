"""What a model is asked: its inputs by name, of text or of pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, PretrainedConfig

from modelops.building.broken import Broken
from modelops.building.text import WINDOW, held_out_text, windows

Inputs = Mapping[str, torch.Tensor]

_COARSE = 8
"""Pictures are made of so many random colours a side, with noise on top."""


@dataclass(frozen=True, slots=True)
class Form:
    """The inputs of a model: their names, and of each the axes whose length may change."""

    axes: Mapping[str, Mapping[int, str]]

    @property
    def reads(self) -> bool:
        """Whether it is asked text."""
        return "input_ids" in self.axes


_TEXT = Form({name: {0: "batch", 1: "sequence"} for name in ("input_ids", "attention_mask")})
_PICTURES = Form({"pixel_values": {0: "batch"}})


def form(config: PretrainedConfig) -> Form:
    """The inputs that a model takes. Raises Broken."""
    if getattr(config, "image_size", None) and not getattr(config, "vocab_size", None):
        return _PICTURES
    if getattr(config, "vocab_size", None) and not config.is_encoder_decoder:
        return _TEXT
    raise Broken(
        "ArchitectureUnsupported",
        f"{config.model_type} takes neither text alone nor pictures alone",
        "choose an encoder of text or a model that sees",
    )


def inputs(folder: str, config: PretrainedConfig, count: int) -> list[Inputs]:
    """So many inputs, the same for base and artifact: held-out text, or random pictures."""
    if form(config).reads:
        return _texts(folder, config, count)
    return [{"pixel_values": _picture(config, seed)} for seed in range(count)]


def _texts(folder: str, config: PretrainedConfig, count: int) -> list[Inputs]:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    length = min(WINDOW, getattr(config, "max_position_embeddings", WINDOW) - 2)
    ids = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in held_out_text())
    found = [torch.tensor([window]) for window in windows(ids, length, count)]
    return [{"input_ids": ids, "attention_mask": torch.ones_like(ids)} for ids in found]


def _picture(config: PretrainedConfig, seed: int) -> torch.Tensor:
    """Random colours, smoothed, with noise: pixel values as an image processor gives them."""
    random = np.random.default_rng(seed)
    channels = getattr(config, "num_channels", 3)
    coarse = torch.from_numpy(random.normal(size=(1, channels, _COARSE, _COARSE)))
    smooth = torch.nn.functional.interpolate(coarse, size=_size(config), mode="bicubic")
    noise = torch.from_numpy(random.normal(scale=0.2, size=tuple(smooth.shape)))
    return (smooth + noise).float().clamp(-2, 2)


def _size(config: Any) -> tuple[int, int]:
    side = config.image_size
    return (side, side) if isinstance(side, int) else (side[0], side[1])
