"""The tensors that a safetensors file says it holds: names, types and shapes, never values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Final

LONGEST_HEADER: Final = 32 * 1024 * 1024
"""Bytes of the longest header that is looked into; the largest published ones have a tenth."""

DTYPE_BITS: Final[Mapping[str, int]] = MappingProxyType(
    {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
    | dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8)
    | dict.fromkeys(("U16", "I16", "F16", "BF16"), 16)
    | dict.fromkeys(("U32", "I32", "F32"), 32)
    | dict.fromkeys(("U64", "I64", "F64", "C64"), 64)
)
"""Bits of one element by the format's own name of the type."""

_MOST_DIMENSIONS: Final = 16
_LARGEST_DIMENSION: Final = 2**48


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file; ``size`` is in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int

    @property
    def elements(self) -> int:
        """How many numbers it holds, as they are stored."""
        return prod(self.shape)


def read_tensors(header: bytes) -> tuple[Tensor, ...]:
    """Return the tensors of a header (the bytes after the first 8).

    Raises ValueError when it is no such header, or one whose shapes and sizes contradict.
    """
    try:
        entries = json.loads(header)
        return tuple(_tensor(name, e) for name, e in entries.items() if name != "__metadata__")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("its safetensors header cannot be read") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError("its safetensors header is not JSON") from error


def _tensor(name: str, entry: dict[str, Any]) -> Tensor:
    dtype, shape = entry["dtype"], tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    if dtype not in DTYPE_BITS:
        raise ValueError(f"its tensor {name[:80]!r} is of an unknown type {str(dtype)[:20]!r}")
    if len(shape) > _MOST_DIMENSIONS or not all(map(_is_dimension, (*shape, begin, end))):
        raise ValueError(f"its tensor {name[:80]!r} has a shape or place that cannot be")
    tensor = Tensor(name, dtype, shape, end - begin)
    if tensor.elements * DTYPE_BITS[dtype] != 8 * tensor.size:
        raise ValueError(f"its tensor {name[:80]!r} does not have the bytes of its shape")
    return tensor


def _is_dimension(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST_DIMENSION
