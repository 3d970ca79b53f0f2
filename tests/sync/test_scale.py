"""How many replicas shall serve, for every ask and every state of the cluster."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modelops.api.scaling import Scaling
from modelops.sync.scale import Scale, rolling, scale

Manifest = dict[str, Any]

count = st.integers(0, 6)
progress = st.sampled_from(
    [None, "NewReplicaSetAvailable", "ReplicaSetUpdated", "ProgressDeadlineExceeded"]
)


def deployment(
    replicas: int, running: int, updated: int, *, seen: bool = True, reason: str | None = None
) -> Manifest:
    """Return a Deployment that asks for replicas and has some, of which some are new."""
    progressing = [{"type": "Progressing", "status": "True", "reason": reason}] if reason else []
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": replicas},
        "status": {
            "replicas": running,
            "updatedReplicas": updated,
            "observedGeneration": 2 if seen else 1,
            "conditions": progressing,
        },
    }


def settled(replicas: int) -> Manifest:
    """Return a Deployment whose controller has nothing left to do."""
    return deployment(replicas, replicas, replicas, reason="NewReplicaSetAvailable")


deployments = st.none() | st.builds(
    deployment, count, count, count, seen=st.booleans(), reason=progress
)
scalings = st.builds(
    lambda minimum, above, **more: Scaling(
        min_replicas=minimum, max_replicas=None if above is None else minimum + above, **more
    ),
    count,
    st.none() | count,
    replicas=st.none() | count,
    state=st.sampled_from(["Active", "Paused"]),
)


@given(scaling=scalings, live=deployments, floor=count)
def test_replicas_stay_in_the_law(scaling: Scaling, live: Manifest | None, floor: int) -> None:
    """Off is 0, Paused is what there is, else the bounds hold, and a rollout never ends at 0."""
    told = scale(scaling, live, floor)
    if scaling.maximum == 0:
        assert told.replicas == 0
    elif scaling.state == "Paused" and live:
        assert told.replicas == live["spec"]["replicas"]
    else:
        assert min(max(scaling.minimum, floor), scaling.maximum) <= told.replicas
        assert told.replicas <= scaling.maximum
        if live and live["spec"]["replicas"] and rolling(live):
            assert told.replicas > 0


@given(scaling=scalings, live=st.builds(settled, count), asks=st.lists(st.none() | count))
def test_who_stops_asking_changes_nothing(
    scaling: Scaling, live: Manifest, asks: list[int | None]
) -> None:
    """Between writers, with an ask or with none, no number comes that nobody asked for."""
    before = scale(scaling, live, 0).replicas
    for ask in asks:
        told = scale(scaling.model_copy(update={"replicas": ask}), settled(before), 0).replicas
        if ask is None:
            assert told == before
        before = told


@given(scaling=scalings, live=deployments)
def test_the_second_look_concludes_the_same(scaling: Scaling, live: Manifest | None) -> None:
    """What follows from a number that was followed is that number."""
    told = scale(scaling, live, 0)
    assume(told.limit != "RollingOut")
    assert scale(scaling, settled(told.replicas), 0).replicas == told.replicas


LAWS: dict[str, tuple[dict[str, Any], Manifest | None, Scale]] = {
    "nothing said": ({}, None, Scale(1)),
    "zero allowed": ({"minReplicas": 0}, None, Scale(0)),
    "some allowed": ({"maxReplicas": 4}, None, Scale(1)),
    "asked": ({"maxReplicas": 4, "replicas": 3}, settled(1), Scale(3, 3)),
    "asked for too many": ({"maxReplicas": 4, "replicas": 9}, settled(1), Scale(4, 9, "Maximum")),
    "asked for too few": ({"maxReplicas": 4, "replicas": 0}, settled(2), Scale(1, 0, "Minimum")),
    "the ask went away": ({"maxReplicas": 4}, settled(3), Scale(3)),
    "lowered bounds": ({"maxReplicas": 2}, settled(3), Scale(2, None, "Maximum")),
    "off": ({"maxReplicas": 0, "replicas": 3}, settled(3), Scale(0, 3, "Off")),
    "paused": (
        {"maxReplicas": 4, "replicas": 1, "state": "Paused"},
        settled(3),
        Scale(3, 1, "Paused"),
    ),
    "paused before it was born": ({"minReplicas": 2, "state": "Paused"}, None, Scale(2)),
    "to zero": ({"minReplicas": 0, "replicas": 0}, settled(1), Scale(0, 0)),
    "to zero while an old version leaves": (
        {"minReplicas": 0, "replicas": 0},
        deployment(1, 2, 1),
        Scale(1, 0, "RollingOut"),
    ),
    "to zero while the new version is not ready": (
        {"minReplicas": 0, "replicas": 0},
        deployment(1, 1, 1, reason="ReplicaSetUpdated"),
        Scale(1, 0, "RollingOut"),
    ),
    "to zero after a rollout that failed": (
        {"minReplicas": 0, "replicas": 0},
        deployment(1, 2, 1, reason="ProgressDeadlineExceeded"),
        Scale(0, 0),
    ),
}


@pytest.mark.parametrize(("said", "live", "expected"), LAWS.values(), ids=LAWS)
def test_an_ask_becomes_replicas(
    said: dict[str, Any], live: Manifest | None, expected: Scale
) -> None:
    """Each rule by one example."""
    assert scale(Scaling.model_validate(said), live, 0) == expected
