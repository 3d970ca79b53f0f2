"""llama.cpp: weights of language models in one GGUF file, quantized by its own tools."""

from types import MappingProxyType
from typing import Final

from modelops.builders.builder import Builder, Device, Method, Scheme

_CPU: Final[frozenset[Device]] = frozenset({"cpu"})
_BITS: Final = (
    ("Q4_K_M", 4), ("Q4_K_S", 4), ("Q5_K_M", 5), ("Q5_K_S", 5), ("Q6_K", 6), ("Q8_0", 8),
    ("Q3_K_M", 3), ("Q2_K", 2), ("F16", 16), ("BF16", 16),
)  # fmt: skip
_WEIGHED: Final = (*_BITS[:5], ("IQ4_XS", 4), ("IQ3_M", 3), *_BITS[6:8], ("IQ2_M", 2))


def _schemes(named: tuple[tuple[str, int], ...], *, calibrated: bool) -> tuple[Scheme, ...]:
    return tuple(Scheme(n, bits, calibrated=calibrated, served_on=_CPU) for n, bits in named)


_METHODS: Final = (
    Method(
        "GGUF",
        "rounds block by block, and spares the layers that matter most",
        _schemes(_BITS, calibrated=False),
    ),
    Method(
        "GGUF_IMATRIX",
        "weighs each column by the activations that meet it before it rounds",
        _schemes(_WEIGHED, calibrated=True),
    ),
)

BUILDER: Final = Builder(
    name="llama-cpp",
    description="Quantized weights for llama.cpp, in one GGUF file.",
    image="llama-cpp-builder",
    kinds=frozenset({"TextModel"}),
    format="gguf",
    methods=MappingProxyType({method.name: method for method in _METHODS}),
    architectures=r"For(CausalLM|ConditionalGeneration)$",
)
