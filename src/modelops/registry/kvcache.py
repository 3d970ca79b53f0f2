"""What a token costs in the KV cache.

Keys and values: 2 x layers x key-value heads x head width x bytes of a number (grouped-query
attention, arXiv:2305.13245). Latent attention keeps one compressed vector and one RoPE key a layer:
``kv_lora_rank + qk_rope_head_dim`` (DeepSeek-V2, arXiv:2405.04434, section 2.1.2). A layer with a
sliding window keeps no more than the window (Mistral 7B, arXiv:2310.06825).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from modelops.registry.configuration import Configuration
from modelops.registry.parameters import LAYOUTS
from modelops.registry.tensors import Tensor

Attention = Literal["multi-head", "grouped-query", "multi-query", "latent", "unknown"]

ELEMENT_BYTES: Final = 2
"""Engines cache in bfloat16 or float16 unless they are told otherwise, float32 models too."""

_PROJECTION: Final = re.compile(
    r"(?:^|\.)(?:layers|h|blocks)\.\d+\.(?:self_)?attn\.[kv]_proj\.weight$"
)
_SLIDING_FAMILIES: Final = frozenset({"mistral", "mixtral", "phi3"})
"""Families whose layers all slide when a window is given."""


@dataclass(frozen=True, slots=True)
class KvCache:
    """The cache of one model.

    ``layer_bytes`` is what a token takes in one layer; ``heads`` are those that GPUs can divide
    among them, 1 when each needs the whole.
    """

    layer_bytes: int
    full_layers: int
    sliding_layers: int = 0
    window: int | None = None
    heads: int = 1
    attention: Attention = "unknown"

    @property
    def bytes_per_token(self) -> int:
        """Bytes that a token takes in all layers, as long as it is inside every window."""
        return self.layer_bytes * (self.full_layers + self.sliding_layers)

    def size(self, tokens: int) -> int:
        """Return the bytes of one sequence of that length."""
        inside = min(tokens, self.window) if self.window else tokens
        return self.layer_bytes * (self.full_layers * tokens + self.sliding_layers * inside)


def configured_cache(config: Configuration) -> KvCache | None:
    """Return the cache of a family that is known, else None. Raises MissingKey, ValueError."""
    if config.family not in LAYOUTS:
        return None
    if LAYOUTS[config.family].experts == "deepseek":
        width = config.required("kv_lora_rank") + config.required("qk_rope_head_dim")
        return KvCache(width * ELEMENT_BYTES, config.layers, attention="latent")
    window = config.number("sliding_window")
    sliding = _sliding_layers(config) if window else 0
    heads = config.kv_heads
    return KvCache(
        layer_bytes=2 * heads * config.head_dim * ELEMENT_BYTES,
        full_layers=config.layers - sliding,
        sliding_layers=sliding,
        window=window if sliding else None,
        heads=heads,
        attention=_attention(heads, config.heads),
    )


def inferred_cache(tensors: Iterable[Tensor]) -> KvCache | None:
    """Return the cache by the shapes of the key and value projections, None without any.

    Layers are told apart by their number; a projection that is packed tells no width.
    """
    widths = [t.shape[0] for t in tensors if _PROJECTION.search(t.name) and len(t.shape) == 2]
    layers = len(widths) // 2
    if not layers or len(set(widths)) > 1:
        return None
    return KvCache(layer_bytes=2 * widths[0] * ELEMENT_BYTES, full_layers=layers)


def _attention(kv_heads: int, heads: int) -> Attention:
    if kv_heads == heads:
        return "multi-head"
    return "multi-query" if kv_heads == 1 else "grouped-query"


def _sliding_layers(config: Configuration) -> int:
    """Return how many layers slide: as listed, else by the family's own rule."""
    if config.family.startswith("qwen") and not config.flag("use_sliding_window"):
        return 0
    types = config.layer_types
    if types:
        return min(types.count("sliding_attention"), config.layers)
    if config.family in {"gemma2", "gpt_oss"}:
        return (config.layers + 1) // 2
    if config.family == "gemma3_text":
        return config.layers - config.layers // (config.number("sliding_window_pattern") or 6)
    return config.layers if config.family in _SLIDING_FAMILIES else _qwen_sliding(config)


def _qwen_sliding(config: Configuration) -> int:
    from_layer = config.number("max_window_layers") if config.family.startswith("qwen") else None
    return 0 if from_layer is None else max(0, config.layers - from_layer)
