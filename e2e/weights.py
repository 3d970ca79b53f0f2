"""The tiny test model, put on a claim by a Job, as a user would put weights there."""

import hashlib
from typing import Any

from e2e.platform import ROOT
from e2e.restricted import files, pod

SCRIPT = ROOT / "runtimes" / "vllm" / "tiny_llama.py"
CLAIM = "models"
PATH = "tiny-llama"


def manifests(image: str) -> list[dict[str, Any]]:
    """Return the claim, the script and the Job that writes the model to CLAIM/PATH."""
    return [_claim(), files("tiny-llama", SCRIPT), _job(image)]


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
    command = ["python3", f"/script/{SCRIPT.name}", f"/models/{PATH}"]
    mounts = {
        "/script": {"configMap": {"name": "tiny-llama"}},
        "/models": {"persistentVolumeClaim": {"claimName": CLAIM}},
    }
    writer = pod("tiny-llama", image, command, mounts=mounts)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(image)},
        "spec": {"backoffLimit": 2, "template": {"spec": writer["spec"]}},
    }
