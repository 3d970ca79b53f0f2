"""What `modelops inspect` found, as one JSON document."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelops.api.kinds import KINDS
from modelops.fetch.survey import Survey
from modelops.registry.architecture import Architecture, describe
from modelops.registry.configuration import Configuration, read_configuration
from modelops.registry.kvcache import KvCache
from modelops.registry.quantization import Quantization
from modelops.runtimes.engines import RUNTIMES
from modelops.sync.fit import Fit, Load, fits

_KIND: Final = "TextModel"
_TEXT: Final = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
"""Ends of the names of classes that write text."""
_SERVED: Final = frozenset(
    {"compressed-tensors", "gptq", "awq", "fp8", "fbgemm_fp8", "bitsandbytes", "mxfp4"}
)
"""Quantizations that our engines read from safetensors."""
_DEFAULT_CONTEXT: Final = 8192
_PICKLED: Final = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found of a model, and on which GPUs it fits under which load."""

    where: str
    model: Architecture
    tokenizer: Mapping[str, Any]
    runtimes: tuple[str, ...]
    load: Load
    fits: tuple[Fit, ...]
    notes: tuple[str, ...]
    revision: str | None

    @property
    def document(self) -> dict[str, Any]:
        """Everything, with null for what nothing tells."""
        model, weights = self.model, self.model.weights
        return {
            "source": self.where,
            "revision": self.revision,
            "family": model.family,
            "architecture": model.name,
            "parameters": weights.parameters,
            "parametersByBlock": weights.blocks,
            "bytes": weights.size,
            "from": weights.origin,
            "dtypes": dict(model.dtypes),
            "layers": model.layers,
            "hiddenSize": model.hidden,
            "vocabularySize": model.vocabulary,
            "contextLength": model.context_length,
            "kvBytesPerToken": model.cache and model.cache.bytes_per_token,
            "kvCache": _cache(model.cache),
            "quantization": _quantization(model.quantization),
            "tokenizer": dict(self.tokenizer),
            "runtimes": list(self.runtimes),
            "load": {"contextLength": self.load.context, "batch": self.load.batch},
            "fits": [_fit(fit) for fit in self.fits],
            "notes": list(self.notes),
        }


def findings(where: str, seen: Survey, context: int | None, batch: int) -> Findings:
    """Return what a survey tells. Raises ValueError when the configuration cannot be."""
    text = seen.documents.get("config.json")
    config = None if text is None else read_configuration(text)
    model = _of_files(describe(config, seen.tensors), seen)
    load = Load(context or model.context_length or _DEFAULT_CONTEXT, batch)
    return Findings(
        where=where,
        model=model,
        tokenizer=_tokenizer(seen),
        runtimes=_runtimes(model, seen),
        load=load,
        fits=fits(model, load),
        notes=(*model.notes, *_notes(model, seen, config, load)),
        revision=seen.revision,
    )


def _of_files(model: Architecture, seen: Survey) -> Architecture:
    """Return the model with the quantization that only the names of files tell."""
    gguf = any(path.endswith(".gguf") for path in seen.paths)
    if not gguf or seen.tensors or model.quantization:
        return model
    return model.quantized(Quantization("gguf"))


def _runtimes(model: Architecture, seen: Survey) -> tuple[str, ...]:
    """Return the runtimes that read this kind of model in this form."""
    text = model.name is not None and model.name.endswith(_TEXT)
    read = model.quantization is None or model.quantization.method in _SERVED
    if not (seen.tensors and text and read and _KIND in KINDS):
        return ()
    return tuple(sorted(name for name, each in RUNTIMES.items() if _KIND in each.kinds))


def _tokenizer(seen: Survey) -> dict[str, Any]:
    told = _object(seen.documents.get("tokenizer_config.json", b"{}"))
    named = told.get("tokenizer_class")
    files = ("tokenizer.json", "tokenizer.model", "vocab.json")
    return {
        "class": named[:80] if isinstance(named, str) else None,
        "files": [name for name in files if name in seen.paths],
        "chatTemplate": "chat_template" in told or "chat_template.jinja" in seen.paths,
    }


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("tokenizer_config.json is not JSON") from error
    return found if isinstance(found, dict) else {}


def _notes(
    model: Architecture, seen: Survey, config: Configuration | None, load: Load
) -> list[str]:
    notes = []
    if config is None:
        notes.append("there is no config.json: the family is inferred from names and shapes")
    if config and config.nested:
        notes.append("config.json describes more than a language model: the cache is the text's")
    if not seen.tensors and any(path.endswith(_PICKLED) for path in seen.paths):
        notes.append("weights are pickled and are not opened, since a pickle can run any code: "
                     "convert them with `save_pretrained`")  # fmt: skip
    if model.context_length and load.context > model.context_length:
        notes.append(f"the model was made for {model.context_length} tokens, not {load.context}")
    if model.cache is None:
        notes.append("bytes per token are unknown for this family, so nothing is said of GPUs")
    return notes


def _cache(cache: KvCache | None) -> dict[str, Any] | None:
    if cache is None:
        return None
    window = {"tokens": cache.window, "layers": cache.sliding_layers} if cache.window else None
    return {"attention": cache.attention, "bytesPerNumber": 2, "slidingWindow": window}


def _quantization(found: Quantization | None) -> dict[str, Any] | None:
    if found is None:
        return None
    told = {"bits": found.bits, "groupSize": found.group_size, "format": found.format}
    return {"method": found.method, **told}


def _fit(fit: Fit) -> dict[str, Any]:
    return {
        "product": fit.gpu.product,
        "memoryBytes": fit.gpu.memory,
        "count": fit.count,
        "neededBytes": fit.needed,
    }
