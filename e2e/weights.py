"""The tiny test model, put on a claim by a Job, as a user would put weights there."""

import hashlib
from typing import Any

from e2e.platform import ROOT

SCRIPT = ROOT / "runtimes" / "vllm" / "tiny_llama.py"
CLAIM = "models"
PATH = "tiny-llama"


def manifests(image: str) -> list[dict[str, Any]]:
    """Return the claim, the script and the Job that writes the model to CLAIM/PATH."""
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "tiny-llama"},
        "data": {SCRIPT.name: SCRIPT.read_text()},
    }
    return [_claim(), script, _job(image)]


def job_name(image: str) -> str:
    """Return the Job's name; another image or script is another Job, since Jobs never change."""
    digest = hashlib.sha256(image.encode() + SCRIPT.read_bytes()).hexdigest()
    return f"tiny-llama-{digest[:8]}"


def _claim() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def _job(image: str) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(image)},
        "spec": {"backoffLimit": 2, "template": {"spec": _pod(image)}},
    }


def _pod(image: str) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "make",
                "image": image,
                "command": ["python3", f"/script/{SCRIPT.name}", f"/models/{PATH}"],
                "env": [{"name": "HOME", "value": "/tmp"}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                "volumeMounts": [
                    {"name": "script", "mountPath": "/script"},
                    {"name": "models", "mountPath": "/models"},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
            }
        ],
        "volumes": [
            {"name": "script", "configMap": {"name": "tiny-llama"}},
            {"name": "models", "persistentVolumeClaim": {"claimName": CLAIM}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
