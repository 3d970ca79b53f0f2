"""Who scales a model, or why nobody does: the condition ScalingActive."""

from dataclasses import replace
from typing import Final, Literal

from modelops.api import conditions as c
from modelops.sync.cause import short
from modelops.sync.observed import KEDA_TYPES, SCALED_OBJECT, Observed
from modelops.sync.plan import Plan

Reason = Literal[
    "KEDA",
    "BuiltIn",
    "Fixed",
    "Off",
    "Paused",
    "NoGateway",
    "MetricsMissing",
    "ScaledObjectNotReady",
    "TriggersFailing",
]

_FAILING: Final = frozenset({"TriggerError", "PartialTriggerError"})
"""How KEDA calls it when it cannot read a trigger."""


_NO_SCALER: Final = (
    "nothing measures what the model needs: set the chart's value gateway.enabled; "
    "`kubectl scale` works without"
)


def scaling_active(observed: Observed, plan: Plan) -> c.Condition:
    """Return the condition that tells who scales a model, and what is asked for."""
    told = _judged(observed, plan)
    return replace(told, message=f"{told.message}; {observed.note}") if observed.note else told


def _judged(observed: Observed, plan: Plan) -> c.Condition:
    held = _held(plan)
    if held:
        return c.Condition(c.SCALING_ACTIVE, "False", *held)
    if observed.decision is None:
        told = "the gateway does not say how many replicas are needed: the number stays as it is"
        return c.Condition(c.SCALING_ACTIVE, "False", "MetricsMissing", _asked(told, plan))
    refusal = None if observed.keda_trouble else _refusal(observed)
    if refusal:
        return c.Condition(c.SCALING_ACTIVE, "False", *refusal)
    reason, who = _who(observed, plan)
    low, high = plan.spec.scaling.minimum, plan.spec.scaling.maximum
    told = f"{who} keeps {low} to {high} replicas"
    return c.Condition(c.SCALING_ACTIVE, "True", reason, _asked(told, plan))


def _held(plan: Plan) -> tuple[Reason, str] | None:
    """Return the reason and the sentence of a number that nobody changes."""
    scaling = plan.spec.scaling
    if plan.scale.limit == "Off":
        return "Off", "turned off by spec.scaling.maxReplicas 0"
    if scaling.state == "Paused":
        way_out = "set spec.scaling.state to Active to go on"
        return "Paused", f"{_asked(f'paused at {plan.replicas}', plan)}; {way_out}"
    if not scaling.automatic:
        way_out = "a maxReplicas above minReplicas lets it scale"
        return "Fixed", f"{_asked(f'fixed at {plan.replicas}', plan)}; {way_out}"
    return None if plan.platform.scaler else ("NoGateway", _asked(_NO_SCALER, plan))


def _asked(told: str, plan: Plan) -> str:
    scale = plan.scale
    asked = "" if scale.asked is None else f"; asked for: {scale.asked}"
    away = scale.asked is not None and scale.asked != scale.replicas and scale.limit != "Paused"
    return f"{told}{asked}{f', and kept: {scale.replicas}' if away else ''}"


def _who(observed: Observed, plan: Plan) -> tuple[Reason, str]:
    """Return whether KEDA scales the model or we do, and the sentence's subject."""
    lacking = "the cluster has no KEDA" if observed.lacking & {*KEDA_TYPES} else ""
    why = lacking or observed.keda_trouble
    if not why:
        return "KEDA", "KEDA"
    waiting = "; spec.scaling.triggers wait for it" if plan.spec.scaling.triggers else ""
    triggers = f"{waiting}, and none is taken away" if waiting and not lacking else waiting
    return "BuiltIn", f"the operator's own scaler, as {why}{triggers},"


def _refusal(observed: Observed) -> tuple[Reason, str] | None:
    """Return what KEDA has against the ScaledObject or its triggers, if anything."""
    found = observed.child(SCALED_OBJECT)
    conditions = ((found or {}).get("status") or {}).get("conditions") or ()
    ready = next((one for one in conditions if one.get("type") == "Ready"), None)
    told = short((ready or {}).get("message"))
    if ready and ready.get("reason") in _FAILING:
        kept = "the number stays as it is, or rises by what can be read"
        return "TriggersFailing", c.one_line(f"KEDA cannot read all triggers ({told}): {kept}")
    if not ready or ready.get("status") != "False":
        return None
    kept = "the number stays as it is"
    return "ScaledObjectNotReady", c.one_line(
        f"KEDA does not take the ScaledObject ({told}): {kept}"
    )
