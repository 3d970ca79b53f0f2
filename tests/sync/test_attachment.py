"""Models behind somebody else's Gateway: what is made, when, and what is said of it."""

from dataclasses import replace

import pytest

from modelops.sync.catalogue import Catalogue, GatewayApi, Platform
from modelops.sync.desired import Apply, Delete, Desired, sync
from modelops.sync.observed import OPTIONAL_TYPES, POOL, ROUTE, ChildType, Observed
from sync.world import (
    IMAGES,
    NOW,
    Json,
    condition,
    deployment,
    model,
    pod,
    running,
    seen,
)

PARENT = {"name": "shared", "namespace": "infra"}
WANTED = GatewayApi(parents=(PARENT,))


def passed(observed: Observed, wanted: GatewayApi | None = WANTED) -> Desired:
    """Return what a pass concludes on a platform that wants that."""
    return sync(observed, Catalogue(platform=Platform(images=IMAGES, gateway_api=wanted)), NOW)


def specs(desired: Desired) -> dict[str, Json]:
    """Return the specs that a pass applies, by kind."""
    applied = (w.manifest for w in desired.writes if isinstance(w, Apply))
    return {m["kind"]: m["spec"] for m in applied}


def test_a_pool_holds_the_replicas_and_names_its_picker() -> None:
    """The pool selects the model's pods at the engine's port; the picker may be named."""
    spec = specs(passed(seen(model())))["InferencePool"]
    assert spec["selector"]["matchLabels"]["modelops.dev/model"] == "tiny"
    assert spec["targetPorts"] == [{"number": 8000}]
    picker = spec["endpointPickerRef"]
    assert (picker["name"], picker["failureMode"]) == ("tiny-epp", "FailOpen")
    named = replace(WANTED, picker="one-for-all", picker_port=9003, failure_mode="FailClose")
    picker = specs(passed(seen(model()), named))["InferencePool"]["endpointPickerRef"]
    assert (picker["name"], picker["port"]) == ("one-for-all", {"number": 9003})
    assert picker["failureMode"] == "FailClose"


def test_a_route_takes_the_models_requests_on_offered_paths_only() -> None:
    """Requests are told by the model's name in a header; no other path of an engine is reached."""
    resource = model() | {"spec": {"model": {"uri": "pvc://models/tiny", "name": "Tiny/1"}}}
    spec = specs(passed(seen(resource)))["HTTPRoute"]
    assert spec["parentRefs"] == [PARENT]
    (rule,) = spec["rules"]
    assert {m["path"]["type"] for m in rule["matches"]} == {"Exact"}
    assert all(m["headers"][0]["value"] == "Tiny/1" for m in rule["matches"])
    assert rule["backendRefs"][0]["name"] == "tiny"


def test_what_is_optional_comes_last() -> None:
    """The Deployment and its replicas are written before what may be refused."""
    kinds = [w.manifest["kind"] for w in passed(seen(model())).writes if isinstance(w, Apply)]
    assert kinds[-2:] == ["InferencePool", "HTTPRoute"]
    assert kinds.count("Deployment") == 2


@pytest.mark.parametrize("wanted", [None, GatewayApi()])
def test_nothing_is_made_or_said_unless_wanted(wanted: GatewayApi | None) -> None:
    """Without parents there is neither an object nor a condition."""
    desired = passed(seen(model()), wanted)
    assert not {"InferencePool", "HTTPRoute"} & specs(desired).keys()
    assert "Attached" not in {c["type"] for c in desired.status["conditions"]}


@pytest.mark.parametrize("lacking", [{POOL}, {ROUTE}, {POOL, ROUTE}])
def test_a_kind_that_the_cluster_lacks_is_named(lacking: set[ChildType]) -> None:
    """Half an attachment is none; the sentence names what is missing, and nothing else changes."""
    whole, part = seen(model()), replace(seen(model()), lacking=frozenset(lacking))
    desired = passed(part)
    assert not {"InferencePool", "HTTPRoute"} & specs(desired).keys()
    said = condition(desired, "Attached")
    assert (said["status"], said["reason"]) == ("False", "KindMissing")
    named = {one for one in OPTIONAL_TYPES if one.kind in said["message"]}
    assert named == lacking
    assert condition(desired, "Ready") == condition(passed(whole), "Ready")


def live(kind: str, **status: Json) -> dict[str, Json]:
    """Return the child of that kind as the cluster holds it."""
    made = {w.manifest["kind"]: w.manifest for w in passed(seen(model())).writes}[kind]
    return {**made, "metadata": {**made["metadata"], "uid": kind}, "status": status}


@pytest.mark.parametrize(
    ("statuses", "reason", "truth"),
    [
        ({}, "RoutePending", "Unknown"),
        ({"Accepted": "True", "ResolvedRefs": "True"}, "RouteAccepted", "True"),
        ({"Accepted": "False"}, "RouteRefused", "False"),
        ({"Accepted": "True", "ResolvedRefs": "False"}, "RouteRefused", "False"),
        ({"Else": "False"}, "RoutePending", "Unknown"),
    ],
)
def test_what_gateways_say_is_passed_on(statuses: Json, reason: str, truth: str) -> None:
    """The condition tells whether the route is taken, with the words of who refuses it."""
    said = [{"type": t, "status": s, "message": "no such listener"} for t, s in statuses.items()]
    route = live("HTTPRoute", parents=[{"conditions": said}])
    found = condition(passed(seen(model(), route)), "Attached")
    assert (found["reason"], found["status"]) == (reason, truth)
    assert ("no such listener" in found["message"]) == (reason == "RouteRefused")


def test_what_nobody_wants_any_more_is_taken_away() -> None:
    """Without parents the model's own pool and route are deleted."""
    tiny = model()
    world = seen(
        tiny,
        *(live("InferencePool"), live("HTTPRoute"), deployment(tiny)),
        pods=(pod(tiny, running()),),
    )
    gone = [w.ref.kind for w in passed(world, GatewayApi()).writes if isinstance(w, Delete)]
    assert sorted(gone) == ["HTTPRoute", "InferencePool"]
    assert not [w for w in passed(world).writes if isinstance(w, Delete)]
