"""A short Job on a claim, whose log is the answer: how the CLI reads what lies in a cluster."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelops.cluster import Cluster, ClusterError
from modelops.sync.builds.job import BUILDER
from modelops.sync.builds.observed import JOB
from modelops.sync.observed import Ref
from modelops.sync.pod import POD_SECURITY, RESTRICTED

STORE_PATH: Final = "/store"
PATIENCE_SECONDS: Final = 300
_SYSTEM: Final = Ref("apps/v1", "Deployment", "modelops-system", "modelops-operator")


async def image(cluster: Cluster) -> str:
    """Return the image of the operator, which has all of modelops' code."""
    operator = await cluster.get(_SYSTEM)
    return str(operator["spec"]["template"]["spec"]["containers"][0]["image"])


def errand(
    name: str, claim: Ref, image: str, command: Sequence[str], *, write: bool
) -> dict[str, Any]:
    """Return a Job that runs a command on a claim, which is mounted at STORE_PATH."""
    container = {
        "name": BUILDER,
        "image": image,
        "command": list(command),
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": "store", "mountPath": STORE_PATH, "readOnly": not write}],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "store", "persistentVolumeClaim": {"claimName": claim.name}}],
    }
    return {
        "apiVersion": JOB[0],
        "kind": JOB[1],
        "metadata": {"name": f"{name}-{secrets.token_hex(4)}", "namespace": claim.namespace},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 600,
            "activeDeadlineSeconds": PATIENCE_SECONDS,
            "template": {"spec": pod},
        },
    }


async def run(cluster: Cluster, job: Mapping[str, Any], lines: int = 1000) -> str:
    """Run a Job to its end and return what it printed; raises ClusterError when it fails."""
    made = await cluster.create(job)
    ref = Ref.of(job)
    status = await _ended(cluster, ref)
    labels = {"batch.kubernetes.io/job-name": ref.name}
    pods = await cluster.list("v1", "Pod", ref.namespace, labels)
    logs = [await _log(cluster, pod, lines) for pod in pods]
    await cluster.delete(ref, made["metadata"]["uid"])
    text = "\n".join(logs)
    if not status.get("succeeded"):
        why = text or f"its pod did not run within {PATIENCE_SECONDS} s: is the claim bound?"
        raise ClusterError(f"the pod on the claim failed: {why}")
    return text


async def _ended(cluster: Cluster, ref: Ref) -> Mapping[str, Any]:
    """Return the status of a Job that has ended; its deadline ends it at the latest."""
    while True:
        status: Mapping[str, Any] = (await cluster.get(ref)).get("status", {})
        ends = (c["type"] for c in status.get("conditions", []) if c["status"] == "True")
        if status.get("succeeded") or "Failed" in ends:
            return status
        await asyncio.sleep(0.5)


async def _log(cluster: Cluster, pod: Mapping[str, Any], lines: int) -> str:
    meta = pod["metadata"]
    return await cluster.tail(meta["namespace"], meta["name"], BUILDER, lines)
