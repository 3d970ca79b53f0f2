"""On which GPUs a model fits: an estimate of memory, for people and for plans.

What is computed, for ``n`` GPUs that share a model:

* weights / n: tensor parallelism divides the matrices (Megatron-LM, arXiv:1909.08053); n divides
  the query heads, as vLLM demands of ``--tensor-parallel-size``.
* KV cache of all sequences / min(n, key-value heads): heads are divided, and repeated when there
  are fewer than GPUs. Its size is that of ``registry.kvcache``.

What is estimated, for each GPU:

* an engine uses 90% of the memory (vLLM's ``--gpu-memory-utilization``, long 0.9 by default);
* 1 GiB for the CUDA context, CUDA graphs and the buffers of NCCL;
* the largest intermediate results of one step of 8192 tokens (vLLM's ``max_num_batched_tokens``
  on large GPUs): twice the residual stream and three times the MLP's width in 16 bits, and the
  logits of 256 sequences in float32. Without these widths, 2 GiB.

Only memory is judged, neither speed nor whether a GPU computes in the model's type.
"""

from dataclasses import dataclass
from typing import Final

from modelops.registry.architecture import Architecture

MIB: Final = 1024**2
GIB: Final = 1024**3
COUNTS: Final = (1, 2, 4, 8)
"""How many GPUs of one node are tried; one only where the query heads are not known."""

_USABLE_PERCENT: Final = 90
_ENGINE: Final = GIB
_UNKNOWN_ACTIVATIONS: Final = 2 * GIB
_TOKENS_A_STEP: Final = 8192
_SEQUENCES_A_STEP: Final = 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """A product as the node label nvidia.com/gpu.product spells it; ``memory`` is in bytes."""

    product: str
    memory: int


GPUS: Final = (
    Gpu("Tesla-T4", 15360 * MIB),
    Gpu("NVIDIA-L4", 23034 * MIB),
    Gpu("NVIDIA-A10G", 23028 * MIB),
    Gpu("NVIDIA-A100-SXM4-40GB", 40960 * MIB),
    Gpu("NVIDIA-L40S", 46068 * MIB),
    Gpu("NVIDIA-H100-80GB-HBM3", 81559 * MIB),
    Gpu("NVIDIA-A100-SXM4-80GB", 81920 * MIB),
    Gpu("NVIDIA-H200", 143771 * MIB),
    Gpu("NVIDIA-B200", 183359 * MIB),
)
"""Common GPUs with the memory that nvidia-smi and the label nvidia.com/gpu.memory say."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be served at once: ``batch`` sequences of ``context`` tokens."""

    context: int
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Fit:
    """How many GPUs of a product hold a model, and the bytes that it needs on each.

    ``count`` is None when not even the most that are tried do; ``needed`` is then of those.
    """

    gpu: Gpu
    count: int | None
    needed: int


def fits(model: Architecture, load: Load, gpus: tuple[Gpu, ...] = GPUS) -> tuple[Fit, ...]:
    """Return how the model fits on each GPU; empty when its weights or cache are not known."""
    if model.weights.loaded is None or model.cache is None:
        return ()
    return tuple(_fit(model, load, gpu) for gpu in gpus)


def needed(model: Architecture, load: Load, count: int) -> int:
    """Return the bytes that each of ``count`` GPUs needs.

    Raises ValueError when the weights or the cache of the model are not known.
    """
    if model.weights.loaded is None or model.cache is None:
        raise ValueError("the size of the weights and of the cache must be known")
    cache = model.cache.size(load.context) * load.batch
    shares = min(count, model.cache.heads)
    return -(-model.weights.loaded // count) + -(-cache // shares) + _overhead(model, count)


def _fit(model: Architecture, load: Load, gpu: Gpu) -> Fit:
    counts = [count for count in COUNTS if (model.heads or 1) % count == 0]
    usable = gpu.memory * _USABLE_PERCENT // 100
    needs = {count: needed(model, load, count) for count in counts}
    count = next((count for count, need in needs.items() if need <= usable), None)
    return Fit(gpu, count, needs[count or counts[-1]])


def _overhead(model: Architecture, count: int) -> int:
    if not (model.hidden and model.intermediate and model.vocabulary):
        return _ENGINE + _UNKNOWN_ACTIVATIONS
    widths = 2 * model.hidden + 3 * model.intermediate // count
    logits = _SEQUENCES_A_STEP * model.vocabulary * 4
    return _ENGINE + _TOKENS_A_STEP * widths * 2 + 2 * logits
