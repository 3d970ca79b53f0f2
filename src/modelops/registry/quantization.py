"""Which quantization weights already have, and what the packed tensors stand for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelops.registry.configuration import Configuration
from modelops.registry.tensors import DTYPE_BITS, Tensor

_BESIDE: Final = frozenset(
    {"scales", "qzeros", "g_idx", "weight_scale", "weight_scale_inv", "weight_scale_2"}
    | {"weight_zero_point", "weight_g_idx", "weight_shape", "weight_global_scale", "input_scale"}
    | {"input_global_scale", "k_scale", "v_scale", "absmax", "quant_map", "nested_absmax"}
    | {"nested_quant_map", "bitsandbytes__nf4", "bitsandbytes__fp4", "SCB", "weight_format"}
)
"""Last parts of the names of tensors that say how to read others; they are no parameters."""

_BNB_STATES: Final = frozenset({"bitsandbytes__nf4", "bitsandbytes__fp4"})
_FLOATS_8: Final = frozenset({"F8_E4M3", "F8_E5M2"})


@dataclass(frozen=True, slots=True)
class Quantization:
    """How weights are stored; ``bits`` and ``group_size`` are None where nothing says them."""

    method: str
    bits: int | None = None
    group_size: int | None = None
    format: str | None = None

    def packed(self, tensor: Tensor) -> int:
        """Return how many parameters a tensor stands for; 0 when it only describes another."""
        last = tensor.name.rpartition(".")[2]
        if last in _BESIDE or last.endswith("_scales"):
            return 0
        if not self._packs(tensor, last):
            return tensor.elements
        return tensor.elements * DTYPE_BITS[tensor.dtype] // (self.bits or 4)

    def _packs(self, tensor: Tensor, last: str) -> bool:
        """Tell whether a tensor holds several parameters in one element."""
        if last in {"qweight", "weight_packed"}:
            return True
        bytes_of_halves = tensor.dtype == "U8" and self.bits == 4
        return bytes_of_halves and (last == "weight" or last.endswith("_blocks"))

    @property
    def bits_per_parameter(self) -> float | None:
        """Bits that a quantized parameter takes with its share of a group's scale."""
        if self.bits is None:
            return None
        share = 16 / self.group_size if self.group_size else 0.0
        return self.bits + share


def configured(config: Configuration) -> Quantization | None:
    """Return the quantization that config.json names."""
    found = config.root.get("quantization_config") or config.root.get("compression_config")
    found = found or config.text.get("quantization_config")
    if not isinstance(found, dict):
        return None
    method = str(found.get("quant_method", "unknown"))[:40]
    if method == "compressed-tensors":
        return _compressed(found)
    if method == "bitsandbytes":
        return _bitsandbytes(found)
    known = {"fp8": 8, "fbgemm_fp8": 8, "mxfp4": 4}.get(method)
    bits = _count(found, "bits") or _count(found, "w_bit") or known
    group = _count(found, "group_size") or _count(found, "q_group_size")
    return Quantization(method, bits, group or (32 if method == "mxfp4" else None))


def inferred(tensors: Iterable[Tensor]) -> Quantization | None:
    """Return the quantization that names and types of tensors give away."""
    held = list(tensors)
    last = {tensor.name.rpartition(".")[2] for tensor in held}
    floats = {tensor.dtype for tensor in held} & _FLOATS_8
    signs = (
        ("weight_packed" in last, Quantization("compressed-tensors")),
        ({"qweight", "g_idx"} <= last, Quantization("gptq")),
        ("qweight" in last, Quantization("awq")),
        (bool(last & _BNB_STATES), Quantization("bitsandbytes", bits=4)),
        ("SCB" in last, Quantization("bitsandbytes", bits=8)),
        (any(n.endswith("_blocks") for n in last), Quantization("mxfp4", bits=4, group_size=32)),
        (bool(floats), Quantization("fp8", bits=8)),
    )
    return next((quantization for sign, quantization in signs if sign), None)


def _compressed(found: Mapping[str, Any]) -> Quantization:
    groups = found.get("config_groups")
    schemes = groups.values() if isinstance(groups, dict) else ()
    weights = (scheme.get("weights") for scheme in schemes if isinstance(scheme, dict))
    first = next((each for each in weights if isinstance(each, dict)), {})
    named = found.get("format")
    form = named[:40] if isinstance(named, str) else None
    return Quantization(
        "compressed-tensors", _count(first, "num_bits"), _count(first, "group_size"), form
    )


def _bitsandbytes(found: Mapping[str, Any]) -> Quantization:
    if found.get("load_in_4bit") is True:
        kind = str(found.get("bnb_4bit_quant_type", "fp4"))[:20]
        return Quantization("bitsandbytes", 4, 64, kind)
    return Quantization("bitsandbytes", 8)


def _count(place: Mapping[str, Any], key: str) -> int | None:
    value = place.get(key)
    return value if type(value) is int and 0 < value <= 65536 else None
