"""What became of an object's replicas, and who wrote them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from e2e.space import Space


@contextmanager
def recorded(space: Space, model: str) -> Iterator[list[int]]:
    """Give every number of replicas that a model's Deployment has inside the block, in order."""
    found: list[int] = []
    shape = "--output=jsonpath={.spec.replicas}{'\\n'}"
    command = ("get", f"deployment/{model}", "-n", space.name, "--watch", shape)
    with ThreadPoolExecutor(1) as pool, space.kube.running(*command) as lines:
        pool.submit(lambda: found.extend(map(int, lines)))
        yield found


def writers(space: Space, what: str, model: str, *path: str) -> set[str]:
    """Return the field managers that own a field of an object."""
    text = space.kube.run(
        "get", what, model, "-n", space.name, "-o", "json", "--show-managed-fields"
    )
    managed = json.loads(text)["metadata"]["managedFields"]
    return {entry["manager"] for entry in managed if _has(entry["fieldsV1"], path)}


def _has(fields: dict[str, Any], path: tuple[str, ...]) -> bool:
    for name in path:
        if f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
    return True
