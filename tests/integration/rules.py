"""The CEL rules that a CRD carries."""

from collections.abc import Iterator
from typing import Any


def cel_rules(node: Any) -> Iterator[dict[str, str]]:
    """Yield every rule in a part of a CRD, with the message that it refuses by."""
    if isinstance(node, dict):
        yield from node.get("x-kubernetes-validations", [])
        children: Any = node.values()
    else:
        children = node if isinstance(node, list) else []
    for child in children:
        yield from cel_rules(child)
