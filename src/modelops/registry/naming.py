"""What the names of tensors tell: the block that each is of, the layers, the family."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from modelops.registry.tensors import Tensor

_BLOCKS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "vision": re.compile(r"vision|visual|multi_modal_projector|image_newline"),
        "experts": re.compile(r"expert|block_sparse_moe|\.router\.|\.mlp\.gate\."),
        "norm": re.compile(r"norm[^.]*\.[^.]+$|(^|\.)ln_\w+\.[^.]+$"),
        "attention": re.compile(r"attn|attention"),
        "embedding": re.compile(r"embed_tokens|embed_in|embeddings?\.|(^|\.)wte\.|(^|\.)wpe\."),
        "head": re.compile(r"(^|\.)(lm_head|embed_out|output)\."),
        "mlp": re.compile(r"mlp|feed_forward|ffn"),
    }
)
"""What names of a block hold; the first that fits decides."""

_FAMILIES: Final = (
    ("gpt_neox", re.compile(r"^gpt_neox\.layers\.\d+\.attention\.query_key_value\.")),
    ("deepseek_v3", re.compile(r"\.mlp\.gate\.e_score_correction_bias$")),
    ("deepseek_v2", re.compile(r"\.self_attn\.kv_a_proj_with_mqa\.")),
    ("gpt_oss", re.compile(r"\.self_attn\.sinks$")),
    ("mixtral", re.compile(r"\.block_sparse_moe\.experts\.")),
    ("phi3", re.compile(r"\.mlp\.gate_up_proj\.")),
    ("gemma2", re.compile(r"\.pre_feedforward_layernorm\.")),
    ("qwen2_moe", re.compile(r"\.mlp\.shared_expert_gate\.")),
    ("qwen3_moe", re.compile(r"\.mlp\.experts\.\d+\.gate_proj\.")),
    ("qwen3", re.compile(r"\.self_attn\.q_norm\.")),
    ("qwen2", re.compile(r"\.self_attn\.q_proj\.bias$")),
    ("llama", re.compile(r"^model\.layers\.\d+\.mlp\.gate_proj\.")),
)
"""Names that only one family has, those with the most to tell first. Mistral and Gemma name their
tensors as Llama does: names alone cannot tell them apart."""

_LAYER: Final = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,5})\.")


def block_of(name: str) -> str:
    """Return the block that a tensor is of; 'other' when its name tells none."""
    return next((block for block, pattern in _BLOCKS.items() if pattern.search(name)), "other")


def family_of(tensors: Iterable[Tensor]) -> str:
    """Return the family whose names these are, 'unknown' for names of none that we know."""
    names = [tensor.name for tensor in tensors]
    known = (family for family, pattern in _FAMILIES if any(map(pattern.search, names)))
    return next(known, "unknown")


def layers_of(tensors: Iterable[Tensor]) -> int | None:
    """Return the number of the last numbered layer plus one; None without numbered layers."""
    found = (_LAYER.search(tensor.name) for tensor in tensors)
    return max((int(match[1]) + 1 for match in found if match), default=None)


def embedding_of(tensors: Iterable[Tensor]) -> tuple[int, int] | None:
    """Return (words, width) of the embedding, None when no tensor is one."""
    tables = (t.shape for t in tensors if block_of(t.name) == "embedding" and len(t.shape) == 2)
    first = next(tables, None)
    return (first[0], first[1]) if first else None
