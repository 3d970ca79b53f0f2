"""KEDA scales a model where the cluster has it: a ScaledObject, and what its triggers need."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelops.api.base import API_VERSION, SecretKeyReference
from modelops.api.scaling import RedisStreamsTrigger, Scaling, Trigger
from modelops.sync.observed import KEDA_TYPES, SCALED_OBJECT, TRIGGER_SECRET, ChildType, Observed

POLLING_SECONDS: Final = 2
"""How often KEDA asks the gateway; a request for a model at zero is pushed to it at once."""

COOLDOWN_SECONDS: Final = 30
FIRST_SECONDS: Final = 60
"""KEDA takes a trigger for idle when a poll of its own is broken off, as at each change of the
ScaledObject and when it is stopped: nothing goes to zero by a few polls, which take long where CPU
is short, nor before the gateway has been heard at all.
"""

PAUSED: Final = "autoscaling.keda.sh/paused"
_AT_ONCE: Final = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100_000, "periodSeconds": 1}],
}
"""The gateway decides when and how fast: nothing after it shall wait once more."""


def keda_children(scaling: Scaling, observed: Observed, scaler: str) -> tuple[ChildType, ...]:
    """Return the children by which KEDA scales a model, in the order in which they are applied."""
    if not scales(scaling, observed, scaler):
        return ()
    secrets = [_secret(index) for index, t in enumerate(scaling.triggers) if _reference(t)]
    return (*secrets, SCALED_OBJECT)


def scales(scaling: Scaling, observed: Observed, scaler: str) -> bool:
    """Tell whether KEDA shall scale a model, and can."""
    return bool(scaler) and scaling.automatic and not observed.lacking & {*KEDA_TYPES}


def annotations(scaling: Scaling) -> Mapping[str, str]:
    """Return the annotations of a model's ScaledObject."""
    return {PAUSED: "true"} if scaling.state == "Paused" else {}


def scaled_object(observed: Observed, scaling: Scaling, scaler: str) -> dict[str, Any]:
    """Return the spec of the ScaledObject; its target is the model itself, by `scale`."""
    return {
        "scaleTargetRef": {
            "apiVersion": API_VERSION,
            "kind": observed.kind.name,
            "name": observed.name,
        },
        "pollingInterval": POLLING_SECONDS,
        # The gateway says when a model is idle. Of what other triggers say nothing is known.
        "cooldownPeriod": scaling.idle_after_seconds if scaling.triggers else COOLDOWN_SECONDS,
        "initialCooldownPeriod": FIRST_SECONDS,
        "minReplicaCount": scaling.minimum,
        "maxReplicaCount": scaling.maximum,
        "advanced": {
            "restoreToOriginalReplicaCount": False,
            "horizontalPodAutoscalerConfig": {
                "behavior": {"scaleUp": _AT_ONCE, "scaleDown": _AT_ONCE}
            },
        },
        "triggers": [_demand(observed, scaler), *_triggers(observed, scaling)],
    }


def trigger_secret(scaling: Scaling, child_type: ChildType) -> dict[str, Any]:
    """Return the spec of the TriggerAuthentication of one trigger."""
    index = int(child_type.suffix.rpartition("-")[2])
    trigger = scaling.triggers[index]
    parameter = "bearerToken" if trigger.prometheus else "password"
    reference = _reference(trigger)
    given = reference.model_dump() if reference else {}
    return {"secretTargetRef": [{"parameter": parameter, **given}]}


def _demand(observed: Observed, scaler: str) -> dict[str, Any]:
    model = f"{observed.namespace}/{observed.name}"
    return {
        "type": "external-push",
        "name": "demand",
        "metadata": {"scalerAddress": scaler, "model": model},
    }


def _triggers(observed: Observed, scaling: Scaling) -> Iterator[dict[str, Any]]:
    for index, trigger in enumerate(scaling.triggers):
        name = observed.name + _secret(index).suffix
        secret = {"authenticationRef": {"name": name}} if _reference(trigger) else {}
        yield {"name": f"trigger-{index}", **_trigger(trigger), **secret}


def _trigger(trigger: Trigger) -> dict[str, Any]:
    if trigger.prometheus:
        asked = trigger.prometheus
        bearer = {"authModes": "bearer"} if asked.secret_ref else {}
        return {
            "type": "prometheus",
            "metadata": {
                "serverAddress": asked.server_address,
                "query": asked.query,
                "threshold": str(asked.threshold),
                "ignoreNullValues": "false",  # no data is not zero
                **bearer,
            },
        }
    stream = trigger.redis_streams
    assert stream, "a trigger is of one of two types"  # noqa: S101  the schema says so
    return {
        "type": "redis-streams",
        "metadata": {
            "address": stream.address,
            "stream": stream.stream,
            "consumerGroup": stream.consumer_group,
            **_counted(stream),
            "databaseIndex": str(stream.database),
        },
    }


def _counted(stream: RedisStreamsTrigger) -> dict[str, str]:
    """Return which entries count: one trigger sees those that wait or those that are taken."""
    if stream.pending is not None:
        return {"pendingEntriesCount": str(stream.pending)}
    return {"lagCount": str(stream.lag)}


def _reference(trigger: Trigger) -> SecretKeyReference | None:
    given = trigger.prometheus or trigger.redis_streams
    return given.secret_ref if given else None


def _secret(index: int) -> ChildType:
    suffix = f"{TRIGGER_SECRET.suffix.rpartition('-')[0]}-{index}"
    return ChildType(TRIGGER_SECRET.api_version, TRIGGER_SECRET.kind, suffix)
