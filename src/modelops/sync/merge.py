"""How a user's partial pod template goes into the pod template that we render."""

from collections.abc import Mapping
from typing import Any


def merge(base: Any, patch: Any) -> Any:
    """Return base with patch laid over it, as a strategic merge patch would.

    Objects merge by field, lists of named objects by name, anything else is replaced; a null
    in the patch removes the field.
    """
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        return _merge_objects(base, patch)
    if _named(base) and _named(patch):
        return _merge_named(base, patch)
    return patch


def _merge_objects(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in base.items() if k not in patch}
    laid = {k: merge(base[k], v) if k in base else v for k, v in patch.items() if v is not None}
    return {**kept, **laid}


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, Mapping) and "name" in v for v in value)


def _merge_named(base: list[Any], patch: list[Any]) -> list[Any]:
    patches = {item["name"]: item for item in patch}
    known = [merge(item, patches.pop(item["name"], {})) for item in base]
    return [*known, *patches.values()]
