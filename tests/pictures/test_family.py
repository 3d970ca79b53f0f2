"""How pipelines of each make are asked."""

import pytest
from diffusion.family import family

from pictures.asked import configs

EULER = {"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"}
LCM = {"_class_name": "LCMScheduler"}


@pytest.mark.parametrize(
    ("made", "documents", "expected"),
    [
        ("StableDiffusionPipeline", {}, ("SD", 30, 7.5, 512)),
        ("StableDiffusionPipeline", {"scheduler__scheduler_config": LCM}, ("SD", 4, 1.0, 512)),
        ("StableDiffusionXLPipeline", {}, ("SDXL", 30, 5.0, 1024)),
        ("StableDiffusionXLPipeline", {"scheduler__scheduler_config": EULER}, ("SDXL", 4, 0, 1024)),
        ("StableDiffusion3Pipeline", {}, ("SD3", 28, 7.0, 1024)),
        (
            "FluxPipeline",
            {"transformer__config": {"guidance_embeds": True}},
            ("FLUX", 28, 3.5, 1024),
        ),
        ("FluxPipeline", {"transformer__config": {"guidance_embeds": False}}, ("FLUX", 4, 0, 1024)),
        ("QwenImagePipeline", {}, ("QwenImage", 50, 4.0, 1328)),
        ("ZImagePipeline", {"scheduler__scheduler_config": {"shift": 3.0}}, ("ZImage", 9, 0, 1024)),
        (
            "ZImagePipeline",
            {"scheduler__scheduler_config": {"shift": 6.0}},
            ("ZImage", 28, 4, 1024),
        ),
        ("PixArtSigmaPipeline", {}, ("other", 30, 5.0, 1024)),
    ],
)
def test_a_make_has_its_own_defaults(
    made: str, documents: dict, expected: tuple[str, int, float, int]
) -> None:
    """Steps, guidance and size are what its makers recommend; distilled models take few steps."""
    found = family(configs(made, **documents))
    assert (found.name, found.steps, found.guidance, found.side) == expected


def test_the_size_is_the_models_own() -> None:
    """Where the files tell for which size a model was made, that counts."""
    vae = {"block_out_channels": [128, 256, 512, 512]}
    of = configs("StableDiffusionPipeline", unet__config={"sample_size": 96}, vae__config=vae)
    assert (family(of).side, family(of).multiple) == (768, 8)
    sd3 = {"sample_size": 128, "patch_size": 2}
    of = configs("StableDiffusion3Pipeline", transformer__config=sd3, vae__config=vae)
    assert (family(of).side, family(of).multiple) == (1024, 16)


def test_what_is_no_pipeline_is_told() -> None:
    """A folder without an index is no diffusers model."""
    with pytest.raises(ValueError, match=r"no model_index\.json"):
        family({})
