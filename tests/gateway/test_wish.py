"""What of a model's wishes the gateway decides about."""

from typing import Any

import pytest

from modelops.api.scaling import Scaling
from modelops.gateway.demand.wish import policy
from modelops.gateway.observed import model
from modelops.scaling.policy import Policy

SCHEDULE = {"name": "day", "start": "0 8 * * *", "end": "0 18 * * *", "minReplicas": 2}
SPEC: dict[str, Any] = {"minReplicas": 0, "maxReplicas": 4, "schedules": [SCHEDULE]}


def test_a_model_that_scales_has_the_policy_of_its_spec() -> None:
    """What the engine can work on at once counts as well."""
    assert policy(SPEC, 8) == Policy.of(Scaling.model_validate(SPEC), 8)


@pytest.mark.parametrize(
    "scaling",
    [
        {},
        {"minReplicas": 3},
        {"maxReplicas": 0},
        SPEC | {"state": "Paused"},
        SPEC | {"schedules": [SCHEDULE | {"timeZone": "Mars/Olympus"}]},
        SPEC | {"of_a_later_version": 1},
    ],
)
def test_nothing_is_decided_where_there_is_nothing_to_decide(scaling: dict[str, Any]) -> None:
    """Fixed, paused and impossible ones have no policy: what there is stays."""
    assert policy(scaling, None) is None


@pytest.mark.parametrize(("live", "state"), [(2, "starting"), (0, "idle")])
def test_a_paused_model_is_what_there_is(live: int, state: str) -> None:
    """Whoever asked for zero meanwhile: replicas that are kept start, and do not rest."""
    manifest = {
        "kind": "TextModel",
        "metadata": {
            "namespace": "team",
            "name": "chat",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"model": {}, "scaling": SPEC | {"state": "Paused", "replicas": 0}},
        "status": {"replicas": live},
    }
    assert model(manifest).state == state
