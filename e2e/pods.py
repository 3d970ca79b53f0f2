"""What a pod says of itself."""

from typing import Any

Manifest = dict[str, Any]


def is_ready(pod: Manifest) -> bool:
    """Tell whether a pod's condition Ready is True."""
    told = pod["status"].get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in told)


def source(spec: Manifest) -> str:
    """Return the URI of the weights that a model's pod of this spec fetches."""
    args = map(str, spec["initContainers"][0]["args"])
    return next(a.removeprefix("--uri=") for a in args if a.startswith("--uri="))
