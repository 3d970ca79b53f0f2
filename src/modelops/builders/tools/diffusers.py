"""torchao by diffusers: pipelines of pictures whose denoiser has weights of 8 bits."""

from types import MappingProxyType
from typing import Final

from modelops.builders.builder import Builder, Method, Scheme

_METHODS: Final = (
    Method(
        "Int8WeightOnly",
        "rounds the denoiser's weights to 8-bit integers, with a scale for each row",
        (Scheme("INT8", 8),),
    ),
    Method(
        "Float8WeightOnly",
        "rounds the denoiser's weights to 8-bit floats, with a scale for each row",
        (Scheme("FP8_E4M3", 8),),
    ),
)

BUILDER: Final = Builder(
    name="diffusers",
    description="Pipelines of pictures with 8-bit weights, by torchao as diffusers loads them.",
    image="diffusers-builder",
    kinds=frozenset({"DiffusionModel"}),
    format="diffusers",
    methods=MappingProxyType({method.name: method for method in _METHODS}),
    architectures=r"Pipeline$",
    metrics=("pixels", "ssim"),
    index="model_index.json",
)
