"""Plays what does not run here: the Deployment controller, the scheduler and the kubelet."""

import json
from datetime import UTC, datetime
from typing import Any

from integration.api import Api, Manifest


def pod(api: Api, namespace: str, name: str = "chat") -> str:
    """Create the pod that a Deployment asks for; return the pod's name."""
    template = api.get("Deployment", namespace, name)["spec"]["template"]
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": f"{name}-1", **template["metadata"]},
        "spec": template["spec"],
    }
    return str(api.create(made)["metadata"]["name"])


def running(api: Api, namespace: str, name: str = "chat") -> None:
    """Have the Deployment's only pod answer requests."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = '{"event": "done", "digest": "abc", "bytes": 7, "source": "claim"}'
    ended = {"terminated": {"exitCode": 0, "message": told, "startedAt": now, "finishedAt": now}}
    _pod_status(
        api,
        namespace,
        f"{name}-1",
        phase="Running",
        conditions=[{"type": "Ready", "status": "True"}],
        initContainerStatuses=[_container("weights", ended)],
        containerStatuses=[_container("engine", {"running": {"startedAt": now}})],
    )
    scaled(api, namespace, name)


def fetching(api: Api, namespace: str, name: str = "chat") -> None:
    """Have the weights container of the Deployment's pod at work."""
    running = {"running": {"startedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}}
    fetcher = _container("weights", running)
    _pod_status(api, namespace, f"{name}-1", phase="Pending", initContainerStatuses=[fetcher])


def unpullable(api: Api, namespace: str, name: str = "chat") -> None:
    """Have the kubelet fail to pull the engine's image."""
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    _pod_status(
        api,
        namespace,
        f"{name}-1",
        phase="Pending",
        containerStatuses=[_container("engine", waiting)],
    )


def unschedulable(api: Api, namespace: str, name: str, lacks: str) -> None:
    """Have the scheduler find no node for the Deployment's pod."""
    told = {"reason": "Unschedulable", "message": f"0/1 nodes are available: {lacks}"}
    scheduled = {"type": "PodScheduled", "status": "False", **told}
    _pod_status(api, namespace, f"{name}-1", phase="Pending", conditions=[scheduled])


def scaled(api: Api, namespace: str, name: str = "chat", replicas: int = 1) -> None:
    """Have the Deployment's controller report that all is as asked."""
    generation = api.get("Deployment", namespace, name)["metadata"]["generation"]
    counts = dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas
    )
    status = {"observedGeneration": generation, **counts}
    api.merge("Deployment", namespace, name, {"status": status}, "status")


def _container(name: str, state: dict[str, Any]) -> Manifest:
    ready = "running" in state
    return {
        "name": name,
        "state": state,
        "ready": ready,
        "restartCount": 0,
        "image": f"{name}:test",
        "imageID": "",
    }


def _pod_status(api: Api, namespace: str, pod_name: str, **status: Any) -> None:
    api.merge("Pod", namespace, pod_name, {"status": status}, "status")


def build_pod(api: Api, namespace: str, job: Manifest) -> str:
    """Create the pod that a build's Job asks for, at work; return the pod's name."""
    meta, template = job["metadata"], job["spec"]["template"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
    name = f"{meta['name']}-x"
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **template["metadata"],
            "namespace": namespace,
            "name": name,
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": template["spec"],
    }
    api.create(made)
    running = {"running": {"startedAt": _now()}}
    _pod_status(
        api, namespace, name, phase="Running", containerStatuses=[_container("build", running)]
    )
    return name


def built(api: Api, namespace: str, job: Manifest, kl: str = "0.01") -> None:
    """Have the builder in the Job's pod make its artifact, and the Job's controller see it."""
    told = {"event": "done", "reason": "Built", "bytesBefore": 800, "bytesAfter": 200}
    _ended(api, namespace, job, "Completed", {**told, "quality": {"kl": kl}})
    over = {"completionTime": _now(), "succeeded": 1}
    _job_status(api, namespace, job, ("SuccessCriteriaMet", "Complete"), **over)


def not_built(api: Api, namespace: str, job: Manifest, why: str, **told: str) -> None:
    """Have the builder in the Job's pod fail for good."""
    _ended(api, namespace, job, why, told)
    _job_status(api, namespace, job, ("FailureTarget", "Failed"), failed=1)


def _ended(api: Api, namespace: str, job: Manifest, why: str, told: Manifest) -> None:
    code = int(why != "Completed")
    end = {"exitCode": code, "reason": why, "message": json.dumps(told) if told else ""}
    ended = {"terminated": {**end, "startedAt": _now(), "finishedAt": _now()}}
    fetched = {"exitCode": 0, "message": '{"event": "done", "digest": "abc", "revision": "r1"}'}
    _pod_status(
        api,
        namespace,
        f"{job['metadata']['name']}-x",
        phase="Failed" if code else "Succeeded",
        initContainerStatuses=[
            _container("weights", {"terminated": {**fetched, "finishedAt": _now()}})
        ],
        containerStatuses=[_container("build", ended)],
    )


def _job_status(
    api: Api, namespace: str, job: Manifest, conditions: tuple[str, ...], **more: Any
) -> None:
    now = _now()
    listed = [
        {
            "type": kind,
            "status": "True",
            "reason": "Played",
            "message": "",
            "lastTransitionTime": now,
        }
        for kind in conditions
    ]
    status = {"startTime": now, "conditions": listed, "uncountedTerminatedPods": {}, **more}
    api.merge("Job", namespace, job["metadata"]["name"], {"status": status}, "status")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
