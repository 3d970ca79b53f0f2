"""How a model is handed to KEDA, who is said to scale it, and what is told of a change."""

from dataclasses import replace
from typing import Any

import pytest

from modelops.scaling.decision import Decision
from modelops.sync.catalogue import Catalogue, Platform
from modelops.sync.desired import Apply, Ask, Desired
from modelops.sync.observed import KEDA_TYPES, Observed
from sync.world import IMAGES, condition, deployment, model, passed, seen

SCALER = "gateway-scaler.modelops-system.svc:9905"
MEASURED = Catalogue(platform=Platform(images=IMAGES, scaler=SCALER))
FREE: dict[str, Any] = {"minReplicas": 0, "maxReplicas": 4}
NEEDED = Decision(3, "queueDepth", "24 requests wait, 8 may a replica", 24, 8)
LACKING = frozenset(KEDA_TYPES)


def observed(live: int | None = None, keda: bool = True, **scaling: Any) -> Observed:  # noqa: FBT001, FBT002  a world has KEDA or not
    """Return a model of which the gateway decides, and whose Deployment has so many replicas."""
    resource = model(scaling={**FREE, **scaling})
    children = () if live is None else (deployment(resource, replicas=live),)
    world = seen(resource, *children)
    return replace(world, decision=NEEDED, lacking=frozenset() if keda else LACKING)


def rendered(desired: Desired) -> dict[str, Any]:
    """Return what is applied, by kind."""
    return {str(w.manifest["kind"]): w.manifest for w in desired.writes if isinstance(w, Apply)}


def test_the_autoscaler_of_keda_adds_nothing_of_its_own() -> None:
    """It scales the model itself, within its bounds, at once, and leaves replicas as they are."""
    spec = rendered(passed(observed(), MEASURED))["ScaledObject"]["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": "modelops.dev/v1alpha1",
        "kind": "TextModel",
        "name": "tiny",
    }
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 4)
    assert 10 * spec["pollingInterval"] <= spec["cooldownPeriod"] <= 30
    assert spec["advanced"]["restoreToOriginalReplicaCount"] is False
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert [behavior[way]["stabilizationWindowSeconds"] for way in ("scaleUp", "scaleDown")] == [
        0,
        0,
    ]


def test_no_data_of_a_trigger_is_not_zero() -> None:
    """Prometheus without an answer is an error to KEDA, and idleness is waited for."""
    query = {"serverAddress": "http://p:9090", "query": "q", "threshold": 3}
    triggers = [{"prometheus": query}]
    spec = rendered(passed(observed(triggers=triggers, idleAfterSeconds=77), MEASURED))[
        "ScaledObject"
    ]["spec"]
    assert spec["cooldownPeriod"] == 77
    assert spec["triggers"][1]["metadata"] == {
        "serverAddress": "http://p:9090",
        "query": "q",
        "threshold": "3",
        "ignoreNullValues": "false",
    }
    assert "authenticationRef" not in spec["triggers"][1]


def test_a_stream_counts_by_what_waits_and_by_what_is_taken() -> None:
    """One trigger of KEDA's sees one of the two: two of them see both."""
    stream = {"address": "redis:6379", "stream": "jobs:{t/p}:normal", "consumerGroup": "workers"}
    triggers = [{"redisStreams": {**stream, "lag": 4}}, {"redisStreams": {**stream, "pending": 2}}]
    spec = rendered(passed(observed(triggers=triggers), MEASURED))["ScaledObject"]["spec"]
    shared = {**stream, "databaseIndex": "0"}
    assert [one["metadata"] for one in spec["triggers"][1:]] == [
        {**shared, "lagCount": "4"},
        {**shared, "pendingEntriesCount": "2"},
    ]


def test_keda_is_asked_last_and_finds_an_ask() -> None:
    """A model's scale cannot be read without one: it is asked for what there is, once."""
    writes = passed(observed(live=2), MEASURED).writes
    kinds = [type(w).__name__ for w in writes]
    assert kinds[-2:] == ["Ask", "Apply"]
    (ask,) = (w for w in writes if isinstance(w, Ask))
    assert ask.replicas == 2
    again = passed(observed(live=2, replicas=2), MEASURED).writes
    assert not [w for w in again if isinstance(w, Ask)]


@pytest.mark.parametrize(
    "world",
    [
        observed(keda=False),
        observed(maxReplicas=0),
        replace(observed(), resource=model(scaling={"minReplicas": 2})),
    ],
    ids=["no KEDA", "off", "fixed"],
)
def test_where_nothing_is_to_be_scaled_by_keda_there_is_no_scaled_object(world: Observed) -> None:
    """Without its kinds, and where the bounds leave nothing to decide."""
    assert "ScaledObject" not in rendered(passed(world, MEASURED))


def refusing(status: str = "False", reason: str = "NotReady") -> Observed:
    """Return a model whose ScaledObject KEDA does not take."""
    manifest = rendered(passed(observed(live=1), MEASURED))["ScaledObject"]
    told = {"type": "Ready", "status": status, "reason": reason, "message": "no such secret"}
    child = {**manifest, "status": {"conditions": [told]}}
    child["metadata"] = {**manifest["metadata"], "uid": "s"}
    resource = model(scaling=FREE)
    world = seen(resource, deployment(resource), child)
    return replace(world, decision=NEEDED)


JUDGED: dict[str, tuple[Observed, Catalogue, str, str]] = {
    "KEDA": (
        observed(live=3, replicas=3),
        MEASURED,
        "KEDA",
        "KEDA keeps 0 to 4 replicas; asked for: 3",
    ),
    "its refusal": (refusing(), MEASURED, "ScaledObjectNotReady", "no such secret"),
    "a trigger that fails": (
        refusing("Unknown", "PartialTriggerError"),
        MEASURED,
        "TriggersFailing",
        "the number stays as it is, or rises",
    ),
    "all triggers fail": (
        refusing("False", "TriggerError"),
        MEASURED,
        "TriggersFailing",
        "cannot read all triggers (no such secret)",
    ),
    "a KEDA that was not heard of yet": (
        refusing("Unknown", "None"),
        MEASURED,
        "KEDA",
        "KEDA keeps",
    ),
    "a KEDA that is dead": (
        replace(refusing(), keda_trouble="KEDA has not asked the gateway about it for 30 s"),
        MEASURED,
        "BuiltIn",
        "scaler, as KEDA has not asked the gateway about it for 30 s, keeps 0 to 4",
    ),
    "no KEDA": (observed(live=1, keda=False), MEASURED, "BuiltIn", "as the cluster has no KEDA"),
    "triggers without KEDA": (
        observed(
            live=1,
            keda=False,
            triggers=[
                {
                    "redisStreams": {
                        "address": "r:1",
                        "stream": "s",
                        "consumerGroup": "g",
                        "lag": 1,
                    }
                }
            ],
        ),
        MEASURED,
        "BuiltIn",
        "spec.scaling.triggers wait for it",
    ),
    "nobody knows": (
        replace(observed(live=2), decision=None),
        MEASURED,
        "MetricsMissing",
        "the number stays as it is",
    ),
    "no gateway": (observed(live=1), Catalogue(platform=Platform(images=IMAGES)), "NoGateway", ""),
    "paused": (
        observed(live=2, state="Paused", replicas=4),
        MEASURED,
        "Paused",
        "paused at 2; asked for: 4",
    ),
    "off": (observed(live=2, maxReplicas=0), MEASURED, "Off", "maxReplicas 0"),
    "beyond the bounds": (
        observed(live=4, replicas=9),
        MEASURED,
        "KEDA",
        "asked for: 9, and kept: 4",
    ),
    "a rollout": (
        replace(observed(live=1, replicas=0), note="urgent has its place"),
        MEASURED,
        "KEDA",
        "; urgent has its place",
    ),
}


@pytest.mark.parametrize(("world", "catalogue", "reason", "words"), JUDGED.values(), ids=JUDGED)
def test_a_condition_says_who_scales(
    world: Observed, catalogue: Catalogue, reason: str, words: str
) -> None:
    """Each state has its reason, and the sentence says what is asked for."""
    found = condition(passed(world, catalogue), "ScalingActive")
    assert found["reason"] == reason
    assert words in found["message"]
    assert found["status"] == ("True" if reason in {"KEDA", "BuiltIn"} else "False")


def owned(world: Observed, manager: str) -> Observed:
    """Return a model whose ask that field manager wrote."""
    fields = {"f:spec": {"f:scaling": {"f:replicas": {}}}}
    entry = {"manager": manager, "time": "2026-01-01T11:59:59Z", "fieldsV1": fields}
    metadata = {**world.resource["metadata"], "managedFields": [entry]}
    return replace(world, resource={**world.resource, "metadata": metadata})


CHANGES: dict[str, tuple[Observed, tuple[int, int, str], str]] = {
    "as decided": (observed(live=1, replicas=3), (1, 3, "queueDepth"), NEEDED.sentence),
    "against what is decided": (
        owned(observed(live=4, replicas=1), "kubectl"),
        (4, 1, "asked"),
        "asked for by kubectl",
    ),
    "woken": (
        owned(observed(live=0, replicas=1), "modelops-activator"),
        (0, 1, "held"),
        "a request that waits at the gateway",
    ),
    "off": (observed(live=2, maxReplicas=0), (2, 0, "off"), "turns the model off"),
    "beyond the maximum": (observed(live=1, replicas=9), (1, 4, "maximum"), "allows no more"),
}


@pytest.mark.parametrize(("world", "change", "words"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_told_with_what_caused_it(
    world: Observed, change: tuple[int, int, str], words: str
) -> None:
    """By the metric that decided, by a bound, or by whoever asked; and told once."""
    first = passed(world, MEASURED).status["lastScale"]
    assert (first["replicasBefore"], first["replicas"], first["metric"]) == change
    assert words in first["message"]
    told = {**world.resource, "status": {"lastScale": first}}
    assert passed(replace(world, resource=told), MEASURED).status["lastScale"] == first


def test_a_change_that_a_crash_hid_is_told_by_the_next_pass() -> None:
    """What the status knew counts, not what the Deployment has by now."""
    world = observed(live=3, replicas=3)
    before = {"replicasBefore": 0, "replicas": 1, "metric": "created", "message": "m", "time": "t"}
    told = {**world.resource, "status": {"lastScale": before}}
    found = passed(replace(world, resource=told), MEASURED).status["lastScale"]
    assert (found["replicasBefore"], found["replicas"]) == (1, 3)


def test_a_schedule_that_is_none_is_refused() -> None:
    """Cron lines and time zones that the schema lets pass are told, and change nothing."""
    times = {"name": "office", "start": "0 25 * * *", "end": "0 18 * * *", "minReplicas": 2}
    desired = passed(observed(schedules=[times]), MEASURED)
    assert (desired.reason, desired.writes) == ("InvalidScaling", ())
    assert "schedule office" in desired.sentence


def test_a_schedule_holds_without_anybody_asking() -> None:
    """At noon, as it is in these worlds, the office has two replicas whatever is asked for."""
    times = {"name": "office", "start": "0 8 * * *", "end": "0 18 * * *", "minReplicas": 2}
    desired = passed(observed(live=0, replicas=0, schedules=[times]), MEASURED)
    assert desired.status["lastScale"]["replicas"] == 2
