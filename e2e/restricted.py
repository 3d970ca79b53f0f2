"""Helper pods of the stories, made to pass Pod Security `restricted`."""

from pathlib import Path
from typing import Any

Manifest = dict[str, Any]

SECURITY: Manifest = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
POD: Manifest = {
    "automountServiceAccountToken": False,
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}


def pod(name: str, image: str, command: list[str], **more: Any) -> Manifest:
    """Return a pod with one container named ``main`` and a /tmp of its own.

    ``mounts`` maps a path to a volume's source; ``env`` is a mapping; ``always`` restarts it.
    """
    mounts: dict[str, Manifest] = {"/tmp": {"emptyDir": {}}, **more.get("mounts", {})}
    names = {path: f"volume-{index}" for index, path in enumerate(mounts)}
    container = {
        "name": "main",
        "image": image,
        "command": command,
        "env": [{"name": key, "value": value} for key, value in more.get("env", {}).items()],
        "securityContext": SECURITY,
        "volumeMounts": [{"name": names[path], "mountPath": path} for path in mounts],
    }
    spec = {
        **POD,
        "restartPolicy": "Always" if more.get("always") else "Never",
        "containers": [container],
        "volumes": [{"name": names[path], **source} for path, source in mounts.items()],
    }
    meta = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def service(name: str, port: int) -> Manifest:
    """Return the Service of the pod with that name, on port 80."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}]},
    }


def files(name: str, *paths: Path) -> Manifest:
    """Return a ConfigMap that holds files under their own names."""
    data = {path.name: path.read_text(encoding="utf-8") for path in paths}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
