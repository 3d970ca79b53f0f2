"""What a model is, by its configuration and the headers of its weights."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, TypeVar

from modelops.registry.configuration import Configuration, MissingKey
from modelops.registry.kvcache import ELEMENT_BYTES, KvCache, configured_cache, inferred_cache
from modelops.registry.naming import block_of, embedding_of, family_of, layers_of
from modelops.registry.parameters import BLOCKS, count_parameters
from modelops.registry.quantization import Quantization, configured, inferred
from modelops.registry.tensors import Tensor

Origin = Literal["files", "configuration"]
T = TypeVar("T")

_DTYPE_BYTES: Final = MappingProxyType({"float64": 8, "float32": 4, "float8_e4m3fn": 1})
"""Bytes of a number by the name of its type; all others have 2."""
_WIDE: Final = frozenset({"F32", "F64"})
_QUANTIZED: Final = frozenset({"attention", "mlp", "experts"})
_MOST_APART: Final = 0.01


@dataclass(frozen=True, slots=True)
class Weights:
    """How much there is: ``blocks`` in parameters, ``size`` and ``loaded`` in bytes.

    ``loaded`` is what an engine keeps: it stores float32 in 16 bits.
    """

    blocks: Mapping[str, int] | None
    size: int | None
    loaded: int | None
    origin: Origin

    @property
    def parameters(self) -> int | None:
        """All parameters; None when they cannot be told."""
        return None if self.blocks is None else sum(self.blocks.values())


@dataclass(frozen=True, slots=True)
class Architecture:
    """The facts of a model; what nothing tells is None."""

    family: str
    name: str | None
    weights: Weights
    dtypes: Mapping[str, int]
    """Elements by type, as safetensors names it, or the configuration's one type."""
    layers: int | None
    hidden: int | None
    intermediate: int | None
    vocabulary: int | None
    heads: int | None
    context_length: int | None
    cache: KvCache | None
    quantization: Quantization | None
    notes: tuple[str, ...]

    def quantized(self, quantization: Quantization) -> "Architecture":
        """Return the same model with a quantization; what its files weigh is then unknown."""
        weights = Weights(self.weights.blocks, None, None, self.weights.origin)
        return replace(self, quantization=quantization, weights=weights)


def describe(config: Configuration | None, tensors: Sequence[Tensor]) -> Architecture:
    """Return what a model is. Raises ValueError when its configuration cannot be."""
    source = config or Configuration({})
    quantization = configured(source) or inferred(tensors)
    weights, notes = _weights(source, tensors, quantization)
    table = embedding_of(tensors) or (None, None)
    return Architecture(
        family=source.family if config else family_of(tensors),
        name=source.architecture,
        weights=weights,
        dtypes=_dtypes(source, tensors, weights),
        layers=_told(lambda: source.layers) or layers_of(tensors),
        hidden=source.number("hidden_size") or table[1],
        intermediate=source.number("intermediate_size"),
        vocabulary=source.number("vocab_size") or table[0],
        heads=source.number("num_attention_heads"),
        context_length=source.context_length,
        cache=_cache(config, tensors),
        quantization=quantization,
        notes=notes,
    )


def _cache(config: Configuration | None, tensors: Sequence[Tensor]) -> KvCache | None:
    if config is None:
        return inferred_cache(tensors)
    return _told(lambda: configured_cache(config))


def _told(read: Callable[[], T]) -> T | None:
    """Return what the configuration tells, None where it lacks a key."""
    try:
        return read()
    except MissingKey:
        return None


def _weights(
    config: Configuration, tensors: Sequence[Tensor], quantization: Quantization | None
) -> tuple[Weights, tuple[str, ...]]:
    """Return the weights, by the files where there are any, and what is to be said of them."""
    derived = _told(lambda: count_parameters(config))
    if not tensors:
        return _derived(config, derived, quantization)
    blocks = _count(tensors, quantization)
    size = sum(tensor.size for tensor in tensors)
    loaded = sum(_loaded(tensor) for tensor in tensors)
    if blocks is None:
        note = "the files are packed in a way that does not tell how many parameters they hold"
        return Weights(derived, size, loaded, "files"), (note,)
    return Weights(blocks, size, loaded, "files"), _difference(blocks, derived)


def _count(tensors: Sequence[Tensor], quantization: Quantization | None) -> dict[str, int] | None:
    if quantization and quantization.bits is None:
        return None
    blocks: Counter[str] = Counter()
    for tensor in tensors:
        held = quantization.packed(tensor) if quantization else tensor.elements
        blocks[block_of(tensor.name)] += held
    return {block: blocks[block] for block in BLOCKS if blocks[block]}


def _loaded(tensor: Tensor) -> int:
    return tensor.elements * ELEMENT_BYTES if tensor.dtype in _WIDE else tensor.size


def _difference(blocks: Mapping[str, int], derived: Mapping[str, int] | None) -> tuple[str, ...]:
    held, expected = sum(blocks.values()), sum((derived or {}).values())
    if not expected or abs(held - expected) <= expected * _MOST_APART:
        return ()
    return (f"the files hold {held} parameters, but config.json describes {expected}",)


def _derived(
    config: Configuration, blocks: Mapping[str, int] | None, quantization: Quantization | None
) -> tuple[Weights, tuple[str, ...]]:
    if blocks is None:
        note = f"the parameters of the family {config.family} cannot be derived from config.json"
        return Weights(None, None, None, "configuration"), (note,)
    each = _DTYPE_BYTES.get(config.dtype or "", ELEMENT_BYTES)
    sizes = [_size(blocks, width, quantization) for width in (each, min(each, ELEMENT_BYTES))]
    note = f"there are no safetensors files: sizes are derived from config.json at {each} bytes"
    return Weights(blocks, sizes[0], sizes[1], "configuration"), (f"{note} a number",)


def _size(blocks: Mapping[str, int], each: int, quantization: Quantization | None) -> int:
    """Return the bytes of the blocks when what is usually quantized is."""
    bits = quantization.bits_per_parameter if quantization else None
    if bits is None or quantization is None:
        return sum(blocks.values()) * each
    quantized = {"experts"} if quantization.method == "mxfp4" else _QUANTIZED
    small = sum(number for block, number in blocks.items() if block in quantized)
    return int(small * bits / 8) + (sum(blocks.values()) - small) * each


def _dtypes(
    config: Configuration, tensors: Sequence[Tensor], weights: Weights
) -> Mapping[str, int]:
    elements: Counter[str] = Counter()
    for tensor in tensors:
        elements[tensor.dtype] += tensor.elements
    if not tensors and config.dtype and weights.parameters:
        return {config.dtype: weights.parameters}
    return dict(elements.most_common())
