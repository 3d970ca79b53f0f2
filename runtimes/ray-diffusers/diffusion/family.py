"""What a pipeline is, by the configuration files that it comes with (pure).

A model says little of how it wants to be asked. What its makers recommend is kept here by family,
so that a prompt alone makes a good picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

Configs = Mapping[str, Mapping[str, Any]]
"""The JSON documents of a pipeline by path, such as `model_index.json`."""

INDEX: Final = "model_index.json"
CHECKER: Final = "safety_checker"
"""The component that judges pictures."""


@dataclass(frozen=True, slots=True)
class Family:
    """How pipelines of one make are asked.

    ``guided_by`` is the argument that holds the guidance; ``side`` the width and height in pixels
    of the pictures that it was made for, and ``multiple`` what both must be multiples of. Pictures
    of a ``negative`` family may be told what not to show.
    """

    name: str
    steps: int
    guidance: float
    side: int
    multiple: int
    guided_by: str = "guidance_scale"
    negative: bool = True
    denoiser: str = "transformer"


SD: Final = Family("SD", 30, 7.5, 512, 8, denoiser="unet")
SDXL: Final = Family("SDXL", 30, 5.0, 1024, 8, denoiser="unet")
SD3: Final = Family("SD3", 28, 7.0, 1024, 16)
FLUX: Final = Family("FLUX", 28, 3.5, 1024, 16, negative=False)
QWEN: Final = Family("QwenImage", 50, 4.0, 1328, 16, guided_by="true_cfg_scale")
Z_IMAGE: Final = Family("ZImage", 28, 4.0, 1024, 16)
OTHER: Final = Family("other", 30, 5.0, 1024, 16)
"""A pipeline of a make that is not known: asked as most are."""

_BY_CLASS: Final = (
    ("StableDiffusionXL", SDXL),
    ("StableDiffusion3", SD3),
    ("StableDiffusion", SD),
    ("LatentConsistency", SD),
    ("Flux", FLUX),
    ("QwenImage", QWEN),
    ("ZImage", Z_IMAGE),
)
_FEW: Final = {
    "SD": (4, 1.0),
    "SDXL": (4, 0.0),
    "SD3": (4, 0.0),
    "FLUX": (4, 0.0),
    "ZImage": (9, 0.0),
}
"""Steps and guidance of models that were distilled to need few steps."""


def family(configs: Configs) -> Family:
    """Return how a pipeline is asked; raises ValueError where there is no `model_index.json`."""
    made = str(configs.get(INDEX, {}).get("_class_name", ""))
    if not made:
        raise ValueError(f"there is no {INDEX} that names a pipeline: it is no diffusers model")
    known = next((each for begin, each in _BY_CLASS if made.startswith(begin)), OTHER)
    if "unet" in configs.get(INDEX, {}):
        known = replace(known, denoiser="unet")
    return _sized(_hurried(known, configs), configs)


def _hurried(known: Family, configs: Configs) -> Family:
    """Return the family as a model that needs few steps wants it, where it is one."""
    if known.name not in _FEW or not _few(known, configs):
        return known
    steps, guidance = _FEW[known.name]
    return replace(known, steps=steps, guidance=guidance)


def _few(known: Family, configs: Configs) -> bool:
    schedule = configs.get("scheduler/scheduler_config.json", {})
    made = str(schedule.get("_class_name", ""))
    if known.name == "FLUX":  # the distilled ones take no guidance
        return configs.get("transformer/config.json", {}).get("guidance_embeds") is False
    if known.name == "ZImage":
        return schedule.get("shift") == 3.0
    turbo = made.startswith("EulerAncestral") and schedule.get("timestep_spacing") == "trailing"
    return made.startswith(("LCM", "TCD")) or turbo


def _sized(known: Family, configs: Configs) -> Family:
    """Return the family with the size that this model was made for, where its files tell."""
    denoiser = configs.get(f"{known.denoiser}/config.json", {})
    sample, scale = denoiser.get("sample_size"), _scale(configs)
    if not isinstance(sample, int) or scale is None:
        return known
    patch = denoiser.get("patch_size") or 1
    return replace(known, side=sample * scale, multiple=scale * (patch if patch in {1, 2} else 1))


def _scale(configs: Configs) -> int | None:
    """Return how many pixels one value of a latent stands for, along one side."""
    blocks = configs.get("vae/config.json", {}).get("block_out_channels")
    return 2 ** (len(blocks) - 1) if isinstance(blocks, list) and blocks else None
