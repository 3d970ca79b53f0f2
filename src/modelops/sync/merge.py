"""How a user's partial pod template goes into the pod template that we render."""

from collections.abc import Mapping
from typing import Any, Final

Json = Any
"""A JSON value of any shape."""

_KEYS: Final = {
    "hostAliases": "ip",
    "ports": "containerPort",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
}
"""What tells the items of a list apart, where it is not their name."""


def depth(value: Json) -> int:
    """Return how deep objects and lists are nested in a value; 0 for a plain one."""
    levels, layer = 0, [value]
    while layer := [v for v in layer if isinstance(v, Mapping | list)]:
        levels += 1
        layer = [i for v in layer for i in (v.values() if isinstance(v, Mapping) else v)]
    return levels


def merge(base: Json, patch: Json, key: str = "name") -> Json:
    """Return base with patch laid over it, as a strategic merge patch would.

    Objects merge by field, lists of objects by the key that tells their items apart, anything
    else is replaced; a null in the patch removes the field.
    """
    if isinstance(patch, Mapping):
        return _merge_objects(base if isinstance(base, Mapping) else {}, patch)
    if _keyed(base, key) and _keyed(patch, key):
        return _merge_lists(base, patch, key)
    return [merge(None, item) for item in patch] if isinstance(patch, list) else patch


def _merge_objects(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    laid = {k: merge(base.get(k), v, _KEYS.get(k, "name")) for k, v in patch.items()}
    return {k: v for k, v in {**base, **laid}.items() if v is not None or k not in patch}


def _keyed(value: Json, key: str) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, Mapping) and isinstance(item.get(key), str | int) for item in value
    )


def _merge_lists(base: list[Any], patch: list[Any], key: str) -> list[Any]:
    patches = {item[key]: item for item in patch}
    known = [merge(item, patches.pop(item[key], {})) for item in base]
    return [*known, *(merge(None, item) for item in patches.values())]
