"""Worlds that a pass may see: pods in all states, Deployments ahead and behind, old statuses."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from modelops.sync.desired import INTENT, Apply, sync
from modelops.sync.observed import Observed
from property.resources import json, resources_any
from sync.world import CATALOGUE, NOW, seen

Json = Any

times = st.integers(-5, 3000).map(
    lambda seconds: (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
)
truths = st.sampled_from(["True", "False", "Unknown"])
messages = st.text(max_size=20) | st.sampled_from(
    [
        "",
        '{"reason": "WeightsNotFound", "message": "m", "action": "a"}',
        '{"reason": "no\\nreason", "message": null, "action": []}',
        '{"event": "done", "digest": 1, "revision": [], "bytes": "many"}',
        '{"event": "done", "digest": "abc", "bytes": 1}',
        "torch.OutOfMemoryError: CUDA out of memory\nlast\n",
        'secret "x" not found',
        'persistentvolumeclaim "x" not found',
        "0/1 nodes are available: 1 Insufficient cpu.\npreemption: none",
    ]
)
waiting = st.fixed_dictionaries(
    {
        "reason": st.sampled_from(
            [
                "PodInitializing",
                "CrashLoopBackOff",
                "ImagePullBackOff",
                "CreateContainerConfigError",
            ]
        )
    },
    optional={"message": messages},
)
running = st.fixed_dictionaries({}, optional={"startedAt": times})
terminated = st.fixed_dictionaries(
    {"exitCode": st.sampled_from([0, 1, 137])},
    optional={
        "reason": st.sampled_from(["Completed", "Error", "OOMKilled", "StartError"]),
        "message": messages,
        "startedAt": times,
        "finishedAt": times,
    },
)
states = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"waiting": waiting}),
    st.fixed_dictionaries({"running": running}),
    st.fixed_dictionaries({"terminated": terminated}),
)


def container(name: str) -> st.SearchStrategy[dict[str, Json]]:
    """Return the status of a container of that name."""
    return st.fixed_dictionaries(
        {"name": st.just(name)},
        optional={
            "image": st.just("image"),
            "state": states,
            "lastState": states,
            "restartCount": st.integers(0, 4),
            "ready": st.booleans(),
        },
    )


def conditions(*kinds: str) -> st.SearchStrategy[list[dict[str, Json]]]:
    """Return conditions of these types, each at most once."""
    one = st.fixed_dictionaries(
        {"type": st.sampled_from(kinds), "status": truths},
        optional={
            "reason": st.sampled_from(["Unschedulable", "ProgressDeadlineExceeded", "Known"]),
            "message": messages,
            "lastTransitionTime": times,
        },
    )
    return st.lists(one, max_size=4, unique_by=lambda c: c["type"])


pod_statuses = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["Pending", "Running", "Failed", "Succeeded", "Unknown"]),
        "reason": st.sampled_from(["Evicted", "NodeShutdown"]),
        "message": messages,
        "startTime": times,
        "conditions": st.none() | conditions("Ready", "PodScheduled", "DisruptionTarget"),
        "initContainerStatuses": st.none() | st.lists(container("weights"), max_size=1),
        "containerStatuses": st.tuples(container("engine"), container("proxy")).map(list),
    },
)
reported = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Ready", "WeightsReady", "Available", "Accepted", "Stalled"]),
            "status": truths,
            "reason": st.sampled_from(["Serving", "Verified"]),
            "message": st.just("a sentence"),
            "observedGeneration": st.just(1),
            "lastTransitionTime": times,
        }
    ),
    max_size=4,
    unique_by=lambda c: c["type"],
)
old_statuses = st.fixed_dictionaries(
    {},
    optional={
        "observedGeneration": st.integers(-1, 3),
        "conditions": reported,
        "weights": st.just({"digest": "abc", "percent": 100}),
        "url": st.just("http://x"),
    },
)
deployment_statuses = st.fixed_dictionaries(
    {},
    optional={
        "observedGeneration": st.integers(0, 2),
        "replicas": st.integers(0, 4),
        "updatedReplicas": st.integers(0, 4),
        "conditions": conditions("Progressing", "ReplicaFailure", "Available"),
    },
)


def intent(resource: dict[str, Json]) -> list[dict[str, Json]]:
    """Return what a pass applies for a model on an empty cluster."""
    writes = sync(seen(resource), CATALOGUE, NOW).writes
    return [dict(w.manifest) for w in writes if isinstance(w, Apply) and w.manager == INTENT]


@st.composite
def worlds(draw: st.DrawFn, of: st.SearchStrategy = resources_any) -> Observed:
    """Return a model and some state of its children and pods; nothing rules out the absurd."""
    resource = draw(of)
    before = draw(of) if draw(st.booleans()) else resource
    before = {**before, "metadata": resource["metadata"]}
    children = [_live(draw, m) for m in intent(before) if draw(st.integers(0, 3))]
    pods = [_pod(draw, children, i) for i in range(draw(st.integers(0, 3)))]
    status = draw(st.none() | old_statuses)
    told = {**resource, "status": status} if status is not None else resource
    return seen(told, *children, pods=tuple(pods), progress=draw(st.none() | progress))


recent = st.integers(0, 400).map(
    lambda seconds: (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
)
crashed = st.fixed_dictionaries(
    {
        "restartCount": st.integers(1, 3),
        "lastState": st.fixed_dictionaries(
            {
                "terminated": st.fixed_dictionaries(
                    {"exitCode": st.just(1), "startedAt": recent, "finishedAt": recent}
                )
            }
        ),
    }
)
calm = st.just({}) | crashed
fetched = st.fixed_dictionaries({"exitCode": st.just(0), "message": messages})


@st.composite
def hopeful(draw: st.DrawFn, past: st.SearchStrategy = calm) -> Observed:
    """Return a model that is all but ready: its Deployment settled, its pods answer, mostly.

    ``past`` draws what an engine's container did before.
    """
    resource = draw(resources_any)
    wanted = resource["spec"].get("scaling", {}).get("minReplicas", 1)
    children = [_live(draw, m) for m in intent(resource)]
    for child in children:
        if child["kind"] == "Deployment":
            counts = {"replicas": wanted, "updatedReplicas": wanted, "observedGeneration": 2}
            child["status"] = counts | draw(
                st.sampled_from([{}, {}, {}, {"replicas": 4}, {"observedGeneration": 0}])
            )
            child["spec"] = {**child["spec"], "replicas": wanted}
    pods = [_pod(draw, children, i) for i in range(draw(st.sampled_from([wanted, wanted, 1])))]
    for pod in pods:
        answers = {"type": "Ready", "status": draw(st.sampled_from(["True"] * 5 + ["False"]))}
        up = draw(container("engine")) | {"state": {"running": {"startedAt": draw(recent)}}}
        up |= draw(past)
        if draw(st.integers(0, 3)):
            pod["metadata"] = _steady(pod["metadata"], children)
        pod["status"] = {
            "phase": "Running",
            "conditions": [answers],
            "initContainerStatuses": [{"name": "weights", "state": {"terminated": draw(fetched)}}],
            "containerStatuses": [up],
        }
    return seen(resource, *children, pods=tuple(pods))


progress = st.fixed_dictionaries(
    {}, optional={"doneBytes": st.integers(-1, 9) | json, "totalBytes": st.integers(-1, 9) | json}
)


def _steady(meta: dict[str, Json], children: list[dict[str, Json]]) -> dict[str, Json]:
    """Return the metadata of a pod of the present version that nobody deletes."""
    (deployment,) = (c for c in children if c["kind"] == "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    return {"name": meta["name"], "namespace": meta["namespace"], "labels": labels}


def _live(draw: st.DrawFn, manifest: dict[str, Json]) -> dict[str, Json]:
    meta = {**manifest["metadata"], "uid": "u", "generation": draw(st.integers(1, 2))}
    if draw(st.integers(0, 9)) == 9:  # now and then it is a stranger's
        meta["ownerReferences"] = []
    live = {**manifest, "metadata": meta}
    if manifest["kind"] == "Deployment":
        live["status"] = draw(deployment_statuses)
    return live


def _pod(draw: st.DrawFn, children: list[dict[str, Json]], number: int) -> dict[str, Json]:
    deployed = [c for c in children if c["kind"] == "Deployment"]
    labels = deployed[0]["spec"]["template"]["metadata"]["labels"] if deployed else {}
    old = {**labels, "modelops.dev/revision": "older"}
    meta = {"name": f"pod-{number}", "labels": draw(st.sampled_from([labels, labels, old, {}]))}
    going = {"deletionTimestamp": draw(times)} if not draw(st.integers(0, 4)) else {}
    status = draw(st.none() | pod_statuses)
    return {"metadata": {**meta, "namespace": "default", **going}, "status": status}
