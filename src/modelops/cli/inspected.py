"""What `modelops inspect` prints for people: facts, GPUs, and the object to write."""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from modelops.api.base import API_VERSION
from modelops.cli.findings import Findings
from modelops.registry.kvcache import KvCache
from modelops.sync.fit import GIB, Fit

_KIB: Final = 1024


def show(found: Findings, console: Console) -> None:
    """Print the facts, the GPUs that hold the model, and what to do next."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _facts(found):
        facts.add_row(Text(name), Text(value))
    console.print(facts)
    if found.fits:
        console.print(Text(f"\nMemory for {_load(found)}:"))
        console.print(_gpus(found))
    for note in found.notes:
        console.print(Text(f"note: {note}"))
    console.print(Text(_next(found)))


def _facts(found: Findings) -> Iterator[tuple[str, str]]:
    model, weights = found.model, found.model.weights
    yield "model", found.where
    yield "family", f"{model.family} ({model.name})" if model.name else model.family
    yield "parameters", _parameters(found)
    yield "weights", _size(weights.size) + ("" if weights.origin == "files" else ", computed")
    yield "types", ", ".join(model.dtypes) or "unknown"
    yield "layers", str(model.layers or "unknown")
    yield "context", f"{model.context_length} tokens" if model.context_length else "unknown"
    yield "KV cache", _cache(model.cache)
    yield "quantization", _quantization(found)
    yield "tokenizer", _tokenizer(found)
    yield "runtimes", ", ".join(found.runtimes) or "none of ours reads it as it is"


def _parameters(found: Findings) -> str:
    blocks = found.model.weights.blocks
    if not blocks:
        return "unknown"
    parts = ", ".join(f"{block} {_short(number)}" for block, number in blocks.items())
    return f"{_short(sum(blocks.values()))} ({parts})"


def _cache(cache: KvCache | None) -> str:
    if cache is None:
        return "unknown"
    told = f"{cache.bytes_per_token / _KIB:g} KiB a token, {cache.attention} attention"
    if cache.window is None:
        return told
    return f"{told}; {cache.sliding_layers} layers keep only the last {cache.window} tokens"


def _quantization(found: Findings) -> str:
    has = found.model.quantization
    if has is None:
        return "none"
    bits = f", {has.bits} bits" if has.bits else ""
    return f"{has.method}{bits}" + (f", groups of {has.group_size}" if has.group_size else "")


def _tokenizer(found: Findings) -> str:
    told = found.tokenizer
    name = told["class"] or ", ".join(told["files"]) or "none"
    return f"{name}, {'with' if told['chatTemplate'] else 'without'} a chat template"


def _load(found: Findings) -> str:
    requests = "1 request" if found.load.batch == 1 else f"{found.load.batch} requests"
    return f"{requests} of {found.load.context} tokens"


def _gpus(found: Findings) -> Table:
    table = Table("GPU", "Memory", "Needed on each", "How many", box=None, pad_edge=False)
    for fit in found.fits:
        count = str(fit.count) if fit.count else "does not fit"
        table.add_row(fit.gpu.product, _size(fit.gpu.memory), _size(fit.needed), count)
    return table


def _next(found: Findings) -> str:
    if not found.runtimes:
        return "\nnext: choose a model that one of `modelops runtimes` serves"
    return f"\nnext: write this and `kubectl apply` it\n\n{_yaml(found)}"


def _yaml(found: Findings) -> str:
    """Return the TextModel that serves the model on the smallest GPU that holds it."""
    spec: dict[str, Any] = {"model": {"uri": _uri(found)}}
    if found.load.context != found.model.context_length:
        spec["text"] = {"contextLength": found.load.context}
    fit = best(found.fits)
    if fit:
        wanted = {"count": fit.count, "product": fit.gpu.product}
        spec["resources"] = {"accelerator": wanted}
    meta = {"name": _name(found.where)}
    whole = {"apiVersion": API_VERSION, "kind": "TextModel", "metadata": meta, "spec": spec}
    return yaml.safe_dump(whole, sort_keys=False)


def best(fits: tuple[Fit, ...]) -> Fit | None:
    """Return the fit that takes the least GPUs, then the least memory."""
    held = [fit for fit in fits if fit.count]
    return min(held, key=lambda fit: (fit.count or 0, fit.gpu.memory), default=None)


def _uri(found: Findings) -> str:
    if "://" in found.where:
        return found.where
    return f"pvc://CLAIM/{_name(found.where)}"


def _name(where: str) -> str:
    last = re.sub(r"@.*|\.safetensors$", "", where.rstrip("/")).rpartition("/")[2]
    plain = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:40].strip("-")
    return plain if plain and plain[0].isalpha() else f"model-{plain}".strip("-")


def _short(number: int) -> str:
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def _size(size: int | None) -> str:
    if size is None:
        return "unknown"
    return f"{size / GIB:.1f} GiB" if size >= GIB // 10 else f"{size / _KIB**2:.1f} MiB"
