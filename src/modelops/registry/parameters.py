"""How many parameters a model has by its configuration alone, block by block.

The counts follow the modules of Hugging Face transformers (``modeling_<family>.py``): what each
``nn.Linear``, ``nn.Embedding`` and norm of the family holds. Families that are not listed are
unknown, never guessed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from modelops.registry.configuration import Configuration

Bias = Literal["none", "configured", "qkv", "all"]
Experts = Literal["none", "mixtral", "qwen", "deepseek", "gpt_oss"]

BLOCKS: Final = ("embedding", "attention", "mlp", "experts", "norm", "head", "vision", "other")
"""The blocks that parameters are counted by, in the order of a model."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the layers of a family are built, where families differ."""

    bias: Bias = "none"
    """Of attention's projections; 'configured' follows ``attention_bias``."""
    mlp_bias: bool | None = False
    """None follows ``mlp_bias``."""
    gated: bool = True
    norms: int = 2
    norm_bias: bool = False
    qk_norm: bool = False
    tied: bool = False
    """Whether the head is the embedding where ``tie_word_embeddings`` is not written."""
    experts: Experts = "none"


LAYOUTS: Final[Mapping[str, Layout]] = MappingProxyType(
    {
        "llama": Layout(bias="configured", mlp_bias=None),
        "mistral": Layout(),
        "mixtral": Layout(experts="mixtral"),
        "qwen2": Layout(bias="qkv"),
        "qwen2_moe": Layout(bias="qkv", experts="qwen"),
        "qwen3": Layout(bias="configured", qk_norm=True),
        "qwen3_moe": Layout(bias="configured", qk_norm=True, experts="qwen"),
        "gemma": Layout(tied=True),
        "gemma2": Layout(tied=True, norms=4),
        "gemma3_text": Layout(tied=True, norms=4, qk_norm=True),
        "phi3": Layout(),
        "gpt_neox": Layout(bias="all", mlp_bias=True, gated=False, norm_bias=True),
        "gpt_oss": Layout(bias="configured", mlp_bias=True, experts="gpt_oss"),
        "deepseek_v2": Layout(experts="deepseek"),
        "deepseek_v3": Layout(experts="deepseek"),
    }
)
"""The families whose parameters can be derived, by ``model_type``."""


def count_parameters(config: Configuration) -> Mapping[str, int] | None:
    """Return the parameters by block, or None for a family that cannot be derived.

    Raises MissingKey and ValueError when the configuration does not say what is needed.
    """
    layout = LAYOUTS.get(config.family)
    if layout is None or config.nested:
        return None
    hidden, layers = config.required("hidden_size"), config.layers
    table = config.required("vocab_size") * hidden
    tied = config.flag("tie_word_embeddings", default=layout.tied)
    sparse = sum(is_sparse(config, layout, index) for index in range(layers))
    blocks = Counter(
        embedding=table,
        attention=layers * _attention(config, layout),
        mlp=(layers - sparse) * _dense(config, layout) if layers > sparse else 0,
        experts=sparse * _experts(config, layout) if sparse else 0,
        norm=_norms(config, layout),
        head=0 if tied else table,
    )
    return {block: blocks[block] for block in BLOCKS if blocks[block]}


def is_sparse(config: Configuration, layout: Layout, layer: int) -> bool:
    """Tell whether a layer has experts instead of one MLP."""
    if layout.experts == "none":
        return False
    if layout.experts == "deepseek":
        dense = config.required("first_k_dense_replace")
        return layer >= dense and layer % (config.number("moe_layer_freq") or 1) == 0
    if layout.experts == "qwen":
        only = config.text.get("mlp_only_layers") or ()
        step = config.number("decoder_sparse_step") or 1
        return layer not in only and (layer + 1) % step == 0
    return True


def _attention(config: Configuration, layout: Layout) -> int:
    if layout.experts == "deepseek":
        return _latent_attention(config)
    hidden, queries = config.required("hidden_size"), config.heads * config.head_dim
    keys = config.kv_heads * config.head_dim
    biased = config.flag("attention_bias") if layout.bias == "configured" else False
    incoming = queries + 2 * keys if biased or layout.bias in {"qkv", "all"} else 0
    outgoing = hidden if biased or layout.bias == "all" else 0
    sinks = config.heads if layout.experts == "gpt_oss" else 0
    return 2 * hidden * (queries + keys) + incoming + outgoing + sinks


def _latent_attention(config: Configuration) -> int:
    """Count multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1)."""
    hidden, heads, rank = config.required("hidden_size"), config.heads, config.number("q_lora_rank")
    rope, plain = config.required("qk_rope_head_dim"), config.required("qk_nope_head_dim")
    latent, value = config.required("kv_lora_rank"), config.required("v_head_dim")
    queries = heads * (plain + rope)
    to_queries = rank * (hidden + queries) if rank else hidden * queries
    to_keys = hidden * (latent + rope) + latent * heads * (plain + value)
    return to_queries + to_keys + heads * value * hidden


def _mlp(config: Configuration, layout: Layout, width: int) -> int:
    hidden, into = config.required("hidden_size"), 2 if layout.gated else 1
    configured = config.flag("mlp_bias") if layout.mlp_bias is None else layout.mlp_bias
    return (into + 1) * hidden * width + (into * width + hidden if configured else 0)


def _dense(config: Configuration, layout: Layout) -> int:
    return _mlp(config, layout, config.required("intermediate_size"))


def _experts(config: Configuration, layout: Layout) -> int:
    """Count the experts of one layer, those that all tokens share, and the router."""
    hidden = config.required("hidden_size")
    number, width = _experts_shape(config, layout)
    shared = _shared(config, layout, width)
    corrected = config.family == "deepseek_v3" or layout.experts == "gpt_oss"
    router = hidden * number + (number if corrected else 0)
    return number * _mlp(config, layout, width) + shared + router


def _experts_shape(config: Configuration, layout: Layout) -> tuple[int, int]:
    if layout.experts == "deepseek":
        return config.required("n_routed_experts"), config.required("moe_intermediate_size")
    if layout.experts == "qwen":
        return config.required("num_experts"), config.required("moe_intermediate_size")
    return config.required("num_local_experts"), config.required("intermediate_size")


def _shared(config: Configuration, layout: Layout, width: int) -> int:
    if layout.experts == "deepseek":
        return _mlp(config, layout, width * (config.number("n_shared_experts") or 0))
    shared = config.number("shared_expert_intermediate_size") or 0
    if layout.experts == "qwen" and shared:
        return _mlp(config, layout, shared) + config.required("hidden_size")
    return 0


def _norms(config: Configuration, layout: Layout) -> int:
    hidden, width = config.required("hidden_size"), 2 if layout.norm_bias else 1
    inside = 2 * config.head_dim if layout.qk_norm else 0
    if layout.experts == "deepseek":
        inside = config.required("kv_lora_rank") + (config.number("q_lora_rank") or 0)
    return config.layers * (layout.norms * hidden * width + inside) + hidden * width
