"""The laws of a pass, on a fake API server."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.conftest import CATALOGUE, REF, World
from modelops.cluster import Answer, ClusterError, Refused, Unreachable

POD_LABELS = {"modelops.dev/kind": "TextModel", "modelops.dev/model": REF.name}


def settled(world: World) -> World:
    """Have passes run until one changes nothing."""
    for _ in range(5):
        before = world.server.version
        world.try_run()
        if world.server.version == before:
            return world
    raise AssertionError("no fixpoint after five passes")


def cluster_state(world: World) -> dict[Any, Any]:
    """Return what is in the cluster without what differs from run to run: versions and times."""
    state = {}
    for address, stored in world.server.objects.items():
        if address[1] != "events":
            manifest = stored.manifest
            for name in ("resourceVersion", "uid", "generation", "ownerReferences"):
                manifest["metadata"].pop(name, None)
            for condition in manifest.get("status", {}).get("conditions", []):
                condition.pop("lastTransitionTime")
            manifest.get("status", {}).get("lastScale", {}).pop("time", None)
            state[address] = manifest
    return state


def refuse(world: World, method: str, plural: str, status: int, message: str) -> None:
    """Have the server refuse all such requests."""

    def refusal(request: str, _: object) -> Answer | None:
        matches = request.startswith(method) and f"/{plural}/" in request
        return Answer(status, json.dumps({"message": message}).encode()) if matches else None

    world.server.refusal = refusal


def test_a_pass_makes_the_children_and_reports(world: World) -> None:
    """The first pass writes claim, Service, Deployment and status."""
    model = world.model()
    assert world.run() == 2
    for plural, suffix in (
        ("persistentvolumeclaims", "-weights"),
        ("services", ""),
        ("deployments", ""),
    ):
        child = world.child(plural, suffix)
        assert child
        assert child["metadata"]["ownerReferences"][0]["uid"] == model["metadata"]["uid"]
    assert world.condition("Ready")["reason"] == "Deploying"
    assert world.status["observedGeneration"] == 1


def test_the_second_pass_changes_nothing(world: World) -> None:
    """Once a pass has seen its own writes, further passes change nothing at all."""
    world.model()
    world.run(2)
    before = world.server.version
    world.run(3)
    assert world.server.version == before


def test_a_status_that_is_right_is_not_written(world: World) -> None:
    """A pass whose status is the one on the object sends no status and no Event."""
    world.model()
    world.run(2)
    world.server.requests.clear()
    world.run()
    sent = [r for r in world.server.requests if "/status" in r or "/events" in r]
    assert not sent


@settings(deadline=None, max_examples=40)
@given(
    crash=st.integers(min_value=0, max_value=8),
    replicas=st.integers(min_value=0, max_value=2),
    change=st.booleans(),
)
def test_a_crash_after_any_write_converges(crash: int, replicas: int, change: bool) -> None:  # noqa: FBT001
    """A pass that dies after k writes leaves what a later pass makes into the same cluster."""
    worlds = World(), World()
    for world in worlds:
        world.model(scaling={"minReplicas": replicas})
        if change:
            settled(world)
            world.change(lambda m: m["spec"].update({"scaling": {"maxReplicas": 3, "replicas": 2}}))
    smooth, rough = worlds
    settled(smooth)
    rough.server.writes_left = crash
    rough.try_run()
    rough.server.writes_left = None
    settled(rough)
    assert cluster_state(rough) == cluster_state(smooth)


def test_what_is_not_wanted_any_more_goes(world: World) -> None:
    """A child of ours that the plan does not have is deleted; what is not ours stays."""
    world.model(scaling={"minReplicas": 0})
    settled(world)
    assert world.child("persistentvolumeclaims", "-weights")
    stranger = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "other", "namespace": REF.namespace, "labels": POD_LABELS},
        "spec": {},
    }
    world.server.put(stranger, "persistentvolumeclaims")
    world.change(lambda m: m["spec"].update({"cache": {"medium": "EmptyDir"}}))
    settled(world)
    assert world.child("persistentvolumeclaims", "-weights") is None
    assert world.server.find("persistentvolumeclaims", f"{REF.namespace}/other")


@pytest.mark.parametrize("plural", ["services", "deployments", "persistentvolumeclaims"])
def test_an_object_of_someone_else_is_never_touched(world: World, plural: str) -> None:
    """When a child's name is taken, nothing is written over it and the object says so."""
    kinds = {
        "services": ("v1", "Service", ""),
        "deployments": ("apps/v1", "Deployment", ""),
        "persistentvolumeclaims": ("v1", "PersistentVolumeClaim", "-weights"),
    }
    api_version, kind, suffix = kinds[plural]
    metadata = {"name": REF.name + suffix, "namespace": REF.namespace}
    taken = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {"a": 1}}
    before = world.server.put(taken, plural)
    world.model()
    world.run(2)
    assert world.child(plural, suffix) == before
    assert world.condition("Ready")["reason"] == "NameConflict"
    assert f"{kind} {REF.name}{suffix}" in world.condition("Ready")["message"]


def test_an_object_that_took_the_name_meanwhile_is_not_touched(world: World) -> None:
    """A Deployment that was replaced by another between look and write is not overwritten."""
    world.model()
    settled(world)

    def swap(request: str, _: object) -> None:
        if request.startswith("PATCH") and "/deployments/" in request:
            place = f"{REF.namespace}/{REF.name}"
            world.server.edit("deployments", place, lambda m: m["metadata"].update(uid="other"))

    world.server.refusal = swap
    assert isinstance(world.try_run(), Refused)
    assert world.condition("Ready")["reason"] == "ApplyFailed"


@settings(deadline=None, max_examples=40)
@given(changes=st.lists(st.sampled_from(["args", None, 1, 2, 3, 4]), max_size=6))
def test_a_model_born_at_zero_never_flashes_a_pod(changes: list[str | int | None]) -> None:
    """At no moment does a Deployment of a model that was always at zero ask for a replica."""
    world = World()
    world.model(scaling={"minReplicas": 0})
    for number, change in enumerate(changes):
        if change == "args":
            args = [f"--seed={number}"]
            world.change(lambda m, args=args: m["spec"].update({"runtime": {"args": args}}))
        world.server.writes_left = change if isinstance(change, int) else None
        world.try_run()
    world.server.writes_left = None
    settled(world)
    deployments = [m for m in world.server.history if m["kind"] == "Deployment"]
    assert deployments
    assert {m["spec"].get("replicas") for m in deployments} == {0}


def test_replicas_have_one_writer(world: World) -> None:
    """After two passes spec.replicas belongs to the scaler alone."""
    world.model(scaling={"minReplicas": 3})
    settled(world)
    (stored,) = (s for (_, p, _), s in world.server.objects.items() if p == "deployments")
    owners = {m for m, paths in stored.owners.items() if ("spec", "replicas") in paths}
    assert owners == {"modelops-scaler/"}


@pytest.mark.parametrize("status", [403, 409, 422])
def test_a_refused_write_is_reported_once_and_retried(world: World, status: int) -> None:
    """What the API server will not take becomes ApplyFailed with its words, and stays so."""
    world.model()
    refuse(world, "PATCH", "deployments", status, "exceeded quota: gpus")
    assert isinstance(world.try_run(), Refused)
    first = world.status
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ApplyFailed")
    assert "exceeded quota: gpus" in ready["message"]
    assert "Deployment chat" in ready["message"]
    assert world.condition("Stalled")["status"] == "True"
    before = world.server.version
    for _ in range(3):
        assert isinstance(world.try_run(), Refused)
    assert world.status == first
    assert world.server.version == before
    assert world.events == [("Warning", "ApplyFailed")]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "create not allowed while custom resource definition is terminating"),
        (404, "404 page not found"),
    ],
)
def test_a_kind_that_goes_away_is_no_refusal(status: int, message: str) -> None:
    """While KEDA is removed a model is not stalled: callers would be told that it cannot start."""
    platform = replace(CATALOGUE.platform, scaler="gateway:9905")
    world = World(catalogue=replace(CATALOGUE, platform=platform))
    world.model(scaling={"minReplicas": 0, "maxReplicas": 2})
    settled(world)
    world.server.objects = {a: o for a, o in world.server.objects.items() if "keda" not in a[0]}
    before = world.status
    refuse(world, "PATCH", "scaledobjects", status, message)
    assert isinstance(world.try_run(), ClusterError)
    assert world.status == before
    assert world.condition("Stalled")["status"] == "False"


def test_a_refusal_ends_when_its_cause_does(world: World) -> None:
    """Once the API server takes the write, the object says nothing of the refusal any more."""
    world.model()
    refuse(world, "PATCH", "deployments", 422, "no")
    world.try_run()
    world.server.refusal = lambda *_: None
    settled(world)
    assert world.condition("Ready")["reason"] == "Pending"
    assert "no)" not in json.dumps(world.status)


def test_one_status_a_pass(world: World) -> None:
    """A pass writes the status at most once, whether its writes are taken or refused."""
    world.model()
    for method in ("GET", "PATCH"):
        refuse(world, method, "nothing" if method == "GET" else "deployments", 422, "no")
        world.server.requests.clear()
        world.try_run()
        assert len([r for r in world.server.requests if "/status" in r]) <= 1


def test_an_unreachable_server_changes_nothing(world: World) -> None:
    """When the API server is gone the pass fails as a whole and is left to the queue."""
    world.model()
    world.server.down = True
    assert isinstance(world.try_run(), Unreachable)
    world.server.down = False
    assert "conditions" not in world.status


@pytest.mark.parametrize("going", [True, False])
def test_an_object_that_is_gone_or_going_is_left_alone(world: World, going: bool) -> None:  # noqa: FBT001
    """Nothing is written for an object that is deleted: ownerReferences collect the children."""
    if going:
        world.model()
        world.change(lambda m: m["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"))
    before = world.server.version
    assert world.run() is None
    assert world.server.version == before


def test_fields_no_longer_reported_leave_the_status(world: World) -> None:
    """A status field that was reported once is removed when it is not reported any more."""
    world.model()
    settled(world)
    world.server.put(_pod(world, "running"), "pods")
    world.server.logs[f"{REF.namespace}/chat-1"] = '{"doneBytes": 5, "totalBytes": 10}'
    world.run()
    assert world.status["weights"]["percent"] == 50
    world.server.edit("pods", f"{REF.namespace}/chat-1", lambda m: m.update(_pod(world, "waiting")))
    world.run()
    assert "weights" not in world.status


def _pod(world: World, state: str) -> dict[str, Any]:
    deployment = world.child("deployments")
    assert deployment
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "chat-1", "namespace": REF.namespace, "labels": labels},
        "status": {"initContainerStatuses": [{"name": "weights", "state": {state: {"x": 1}}}]},
    }


@pytest.mark.parametrize("line", ["", "no JSON", "[1]", '{"event": "progress"}'])
def test_a_log_that_tells_nothing_is_no_trouble(world: World, line: str) -> None:
    """Any last line of the weights container's log leaves the pass whole."""
    world.model()
    settled(world)
    world.server.put(_pod(world, "running"), "pods")
    world.server.logs[f"{REF.namespace}/chat-1"] = line
    world.run()
    assert world.condition("Ready")["reason"] == "FetchingWeights"


def _crashed(world: World, state: dict[str, Any]) -> dict[str, Any]:
    engine = {"name": "engine", "restartCount": 1, **state}
    return {**_pod(world, "waiting"), "status": {"containerStatuses": [engine]}}


@pytest.mark.parametrize("again", [False, True])
def test_a_cause_that_was_said_long_before_the_end_is_found(
    world: World,
    again: bool,  # noqa: FBT001
) -> None:
    """Of a crashed engine the log is read, of the run that ended, and an error in it is told."""
    world.model()
    settled(world)
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "RuntimeError: see above"}}
    state = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
    world.server.put(_crashed(world, state if again else {"state": ended}), "pods")
    said = "INFO trust_remote_code=True\nERROR torch.OutOfMemoryError: CUDA out of memory\nbye"
    world.server.logs[f"{REF.namespace}/chat-1"] = said
    world.run()
    assert world.condition("Ready")["reason"] == "AcceleratorOutOfMemory"
    (asked,) = {r for r in world.server.requests if "/log?" in r}
    assert ("previous=true" in asked) == again


def test_the_log_is_read_only_while_weights_are_fetched(world: World) -> None:
    """No log is read unless a weights container runs or an engine has crashed."""
    world.model()
    settled(world)
    world.server.put(_pod(world, "waiting"), "pods")
    world.server.requests.clear()
    world.run()
    assert not [r for r in world.server.requests if "/log?" in r]


def test_events_tell_of_changes_only(world: World) -> None:
    """An Event comes with each new reason of Ready, and none when nothing is new."""
    world.model()
    settled(world)
    world.run(2)
    assert world.events == [("Normal", "Deploying"), ("Normal", "Pending")]


def test_an_event_that_cannot_be_made_fails_nothing(world: World) -> None:
    """A pass does not depend on its Events."""
    world.model()
    world.server.refusal = lambda request, _: Answer(403, b"{}") if "/events" in request else None
    world.run(2)
    assert world.condition("Ready")["reason"] == "Pending"
