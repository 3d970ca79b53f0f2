"""From types to the structural OpenAPI schema that a CRD carries."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]
_DROPPED: Final = frozenset({"title", "$defs", "examples", "const"})
_NULL: Final = {"type": "null"}


def structural(model: type[BaseModel]) -> Schema:
    """Return a type's schema as Kubernetes wants it: no references, nulls or closed objects."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _simplify(raw, raw.get("$defs", {}))


def _simplify(node: Schema, types: Mapping[str, Schema]) -> Schema:
    optional = _NULL in node.get("anyOf", [])
    node = _resolve(node, types)
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if "properties" in node:
        result["properties"] = {k: _simplify(v, types) for k, v in node["properties"].items()}
    for one in ("items", "additionalProperties"):
        if isinstance(node.get(one), Mapping):
            result[one] = _simplify(node[one], types)
    if isinstance(node.get("additionalProperties"), bool):
        del result["additionalProperties"]
    return result if optional else _defaulted(result)


def _resolve(node: Schema, types: Mapping[str, Schema]) -> Schema:
    """Follow references and drop the null of an optional value; what stands nearer wins."""
    if "$ref" in node:
        target = types[node["$ref"].removeprefix("#/$defs/")]
        return _resolve(target | _without(node, "$ref"), types)
    if _NULL not in node.get("anyOf", []):
        return node
    (only,) = (option for option in node["anyOf"] if option != _NULL)
    return _resolve(only | _without(node, "anyOf", "default"), types)


def _defaulted(node: Schema) -> Schema:
    """Give an object whose fields have defaults those as its own, so that they reach the cluster.

    They are spelled out because the API server judges a default by the object's rules as it is.
    """
    if node.get("type") != "object":
        return node
    fields = node.get("properties", {}).items()
    filled = {name: field["default"] for name, field in fields if "default" in field}
    usable = filled and not node.get("required")
    return node | {"default": filled} if usable else _without(node, "default")


def _without(node: Schema, *keys: str) -> Schema:
    return {key: value for key, value in node.items() if key not in keys}
