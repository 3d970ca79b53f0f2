"""llm-compressor: quantized weights of language models, in the compressed-tensors format."""

from types import MappingProxyType
from typing import Final

from modelops.builders.builder import Builder, Device, Method, Scheme

_GPU: Final[frozenset[Device]] = frozenset({"gpu"})
_MAPPED: Final = frozenset(
    f"{name}ForCausalLM"
    for name in (
        "Cohere", "Cohere2", "DeepseekV2", "DeepseekV3", "Gemma2", "Gemma3", "Granite", "Llama",
        "Mistral", "Phi3", "Qwen2", "Qwen2Moe", "Qwen3", "Qwen3Moe", "SeedOss",
    )
)  # fmt: skip
"""Architectures for which the tool knows which norm feeds which layers; it guesses at others."""

_METHODS: Final = (
    Method(
        "GPTQ",
        "rounds column by column and lets the rest make up for the error",
        (
            Scheme("W4A16", 4, group_size=128, grouped=True, calibrated=True),
            Scheme("W8A16", 8, calibrated=True, served_on=_GPU),
            Scheme("W8A8", 8, calibrated=True),
        ),
    ),
    Method(
        "AWQ",
        "scales up the weights that large activations meet before it rounds",
        (
            Scheme("W4A16_ASYM", 4, group_size=128, grouped=True, calibrated=True),
            Scheme("W4A16", 4, group_size=128, grouped=True, calibrated=True),
        ),
        architectures=_MAPPED,
    ),
    Method(
        "SmoothQuant",
        "moves outliers from activations to weights, then rounds both by GPTQ",
        (Scheme("W8A8", 8, calibrated=True),),
        architectures=_MAPPED,
    ),
    Method(
        "FP8",
        "8-bit floats, scaled by token, by tensor or by block",
        (
            Scheme("FP8_DYNAMIC", 8),
            Scheme("FP8", 8, calibrated=True, served_on=_GPU),
            Scheme("FP8_BLOCK", 8, served_on=_GPU),
        ),
    ),
    Method(
        "RTN",
        "rounds to the nearest: no text is needed, and more is lost",
        (
            Scheme("W4A16", 4, group_size=128, grouped=True),
            Scheme("W8A16", 8, served_on=_GPU),
        ),
    ),
    Method(
        "NVFP4",
        "4-bit floats in groups of 16, for Blackwell GPUs",
        (
            Scheme("NVFP4", 4, group_size=16, calibrated=True, served_on=_GPU),
            Scheme("NVFP4A16", 4, group_size=16, served_on=_GPU),
        ),
    ),
    Method(
        "MXFP4",
        "4-bit floats in groups of 32 that share an exponent",
        (
            Scheme("MXFP4", 4, group_size=32, served_on=_GPU),
            Scheme("MXFP4A16", 4, group_size=32, served_on=_GPU),
        ),
    ),
)

BUILDER: Final = Builder(
    name="llm-compressor",
    description="Quantized weights for vLLM: GPTQ, AWQ, SmoothQuant, FP8, NVFP4, MXFP4.",
    image="llm-compressor",
    kinds=frozenset({"TextModel"}),
    format="compressed-tensors",
    methods=MappingProxyType({method.name: method for method in _METHODS}),
    architectures=r"For(CausalLM|ConditionalGeneration)$",
)
