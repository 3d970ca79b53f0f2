"""A model's config.json, read with care: it comes from strangers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

LONGEST_CONFIGURATION: Final = 8 * 1024 * 1024
"""Bytes of the longest config.json or tokenizer_config.json that is read."""

_LARGEST: Final = 2**40
_MOST_LAYERS: Final = 10_000
_LARGEST_FACTOR: Final = 1_000_000
_OWN_RANGE: Final = frozenset({"llama3", "longrope", "su", "default"})
"""Kinds of RoPE scaling whose max_position_embeddings holds the longer context already."""


class MissingKey(LookupError):
    """The configuration does not say what a formula needs."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What config.json says; of a model that sees or hears, ``text`` is its language part."""

    root: Mapping[str, Any]

    @property
    def text(self) -> Mapping[str, Any]:
        """The language model's part."""
        nested = self.root.get("text_config")
        return nested if isinstance(nested, dict) else self.root

    @property
    def nested(self) -> bool:
        """Whether the language model is only a part of it."""
        return self.text is not self.root

    @property
    def family(self) -> str:
        """The family by the name that transformers gives it; 'unknown' when it has none."""
        family = self.text.get("model_type") or self.root.get("model_type")
        return family[:80] if isinstance(family, str) and family.isprintable() else "unknown"

    @property
    def architecture(self) -> str | None:
        """The class that transformers loads it as."""
        named = self.root.get("architectures")
        first = named[0] if isinstance(named, list) and named else None
        return first[:120] if isinstance(first, str) and first.isprintable() else None

    @property
    def pipeline(self) -> str | None:
        """The class of a whole pipeline, as the model_index.json of diffusers names it."""
        named = self.root.get("_class_name")
        return named[:120] if isinstance(named, str) and named.isprintable() else None

    @property
    def dtype(self) -> str | None:
        """The type of the numbers that it computes with, such as bfloat16."""
        places = (self.text, self.root)
        found = (place.get(key) for place in places for key in ("dtype", "torch_dtype"))
        return next((str(each).removeprefix("torch.")[:20] for each in found if each), None)

    def number(self, key: str) -> int | None:
        """Return a number that is 0 or more; None when it is absent or null.

        Raises ValueError when it is anything else.
        """
        value = self.text.get(key)
        if value is None:
            return None
        if type(value) is not int or not 0 <= value < _LARGEST:
            raise ValueError(f"config.json: {key} is {str(value)[:40]!r}, which is not a count")
        return value

    def required(self, key: str) -> int:
        """Return a number that must be there. Raises MissingKey, or ValueError as ``number``."""
        value = self.number(key)
        if value is None:
            raise MissingKey(key)
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return a boolean."""
        value = self.text.get(key, self.root.get(key))
        return value if isinstance(value, bool) else default

    @property
    def layers(self) -> int:
        """Number of decoder layers. Raises MissingKey, ValueError."""
        layers = self.required("num_hidden_layers")
        if layers > _MOST_LAYERS:
            raise ValueError(f"config.json: {layers} layers are more than any model has")
        return layers

    @property
    def heads(self) -> int:
        """Number of query heads. Raises MissingKey, ValueError."""
        heads = self.required("num_attention_heads")
        if not heads:
            raise ValueError("config.json: num_attention_heads is 0")
        return heads

    @property
    def kv_heads(self) -> int:
        """Number of key and value heads: as many as query heads where nothing is said."""
        return self.number("num_key_value_heads") or self.heads

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.number("head_dim") or self.required("hidden_size") // self.heads

    @property
    def layer_types(self) -> tuple[str, ...] | None:
        """The kind of attention of each layer, where the configuration lists it."""
        types = self.text.get("layer_types")
        listed = isinstance(types, list) and 0 < len(types) <= _MOST_LAYERS
        return tuple(map(str, types)) if isinstance(types, list) and listed else None

    @property
    def context_length(self) -> int | None:
        """The longest context in tokens, as vLLM derives it: scaled RoPE reaches further."""
        length = self.number("max_position_embeddings")
        scaling = self.text.get("rope_scaling") or self.text.get("rope_parameters")
        if length is None or not isinstance(scaling, dict):
            return length
        kind = scaling.get("rope_type", scaling.get("type"))
        factor = scaling.get("factor")
        if not isinstance(factor, int | float) or not 1 <= factor <= _LARGEST_FACTOR:
            return length
        if kind in _OWN_RANGE or self.family.startswith("gemma3"):
            return length
        original = scaling.get("original_max_position_embeddings")
        base = original if kind == "yarn" and type(original) is int else length
        return int(base * factor)


def read_configuration(text: bytes) -> Configuration:
    """Read a config.json. Raises ValueError when it is not one."""
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("config.json is not JSON") from error
    if not isinstance(root, dict):
        raise ValueError("config.json is not a JSON object")  # noqa: TRY004  a stranger's text
    return Configuration(root)
