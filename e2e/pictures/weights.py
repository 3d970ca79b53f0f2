"""A tiny pipeline of pictures on a claim, as a user would put weights there."""

import hashlib

from e2e.platform import ROOT
from e2e.restricted import Manifest, files, pod

SCRIPT = ROOT / "runtimes" / "ray-diffusers" / "tiny_pipelines.py"
CLAIM = "pictures"


def manifests(image: str) -> list[Manifest]:
    """Return the claim, the script and the Job that writes a safe and an unsafe pipeline to it."""
    command = "python3 /script/tiny_pipelines.py /pictures sd15 --extras && "
    command += "python3 /script/tiny_pipelines.py /pictures/unsafe sd15 --judge=unsafe"
    mounts = {
        "/script": {"configMap": {"name": "tiny-pipelines"}},
        "/pictures": {"persistentVolumeClaim": {"claimName": CLAIM}},
    }
    home = {"HOME": "/tmp", "USER": "modelops"}
    writer = pod("tiny-pipelines", image, ["sh", "-c", command], mounts=mounts, env=home)
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        files("tiny-pipelines", SCRIPT),
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job_name(image)},
            "spec": {"backoffLimit": 2, "template": {"spec": writer["spec"]}},
        },
    ]


def job_name(image: str) -> str:
    """Return the Job's name; another image or script is another Job, since Jobs never change."""
    digest = hashlib.sha256(image.encode() + SCRIPT.read_bytes()).hexdigest()
    return f"tiny-pipelines-{digest[:8]}"
