"""Where jobs are on the local cluster: a Redis that keeps what it is given, and an S3 server."""

import os
from typing import Any, Final

from e2e.restricted import POD, SECURITY, Manifest
from e2e.s3.gateway import binary

NAMESPACE: Final = "modelops-jobs"
BUCKET: Final = "pictures"
SECRET: Final = "jobs-s3"  # noqa: S105  a name
ADDRESS: Final = "198.19.0.77"
"""The S3 server's, which pods and the machine itself reach alike: signed URLs name it."""

KEYS: Final = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local-cluster-only"}
VALUES: Final = {
    "redis": {"url": f"redis://redis.{NAMESPACE}.svc:6379/0"},
    "s3": {
        "endpoint": f"http://{ADDRESS}:7070",
        "bucket": BUCKET,
        "existingSecret": SECRET,
    },
}
"""The chart's values `jobs`."""


def manifests(redis: str) -> list[Manifest]:
    """Return all that it consists of; both servers run in the image of Redis."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        _deployment("redis", redis, _redis()),
        _service("redis", 6379),
        _deployment("s3", redis, _s3()),
        _service("s3", 7070, clusterIP=ADDRESS),
    ]


def secret() -> Manifest:
    """Return the keys of the store, as the gateway and each model's namespace need them."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "stringData": KEYS | {"AWS_REGION": "us-east-1"},
    }


def _redis() -> Manifest:
    arguments = ("--appendonly", "yes", "--dir", "/data", "--protected-mode", "no")
    return {"command": ["redis-server", *arguments]}


def _s3() -> Manifest:
    """Return the server of the machine's own cache, which the registry's images do not hold."""
    folders = "mkdir -p /data/meta /data/data/" + BUCKET
    server = f"/server/{binary().resolve().name} --port :7070 posix --sidecar /data/meta /data/data"
    keys = ("ROOT_ACCESS_KEY", "ROOT_SECRET_KEY")
    pairs = zip(keys, KEYS.values(), strict=True)
    return {
        "command": ["sh", "-c", f"{folders} && exec {server}"],
        "env": [{"name": "HOME", "value": "/data"}, *({"name": n, "value": v} for n, v in pairs)],
    }


def _deployment(name: str, image: str, container: Manifest) -> Manifest:
    mounts = [{"name": "data", "mountPath": "/data"}]
    volumes: list[dict[str, Any]] = [{"name": "data", "emptyDir": {}}]
    if name == "s3":
        mounts.append({"name": "server", "mountPath": "/server"})
        volumes.append({"name": "server", "hostPath": {"path": str(binary().resolve().parent)}})
    whole = {
        "name": name,
        "image": image,
        "securityContext": SECURITY,
        "volumeMounts": mounts,
        **container,
    }
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {**POD, **_user(name), "containers": [whole], "volumes": volumes},
            },
        },
    }


def _user(name: str) -> Manifest:
    """Return who runs a server: the file of S3's belongs to the machine's user."""
    return {"securityContext": {"runAsUser": os.geteuid()}} if name == "s3" else {}


def _service(name: str, port: int, **more: Any) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}], **more},
    }
