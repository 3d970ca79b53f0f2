"""The verdict on a ModelRoute: which models answer to its name, or why none does."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from modelops.api.conditions import one_line
from modelops.api.policies.modelroute import KIND, ModelRouteSpec
from modelops.sync.refusal import Refusal, invalid
from modelops.sync.scene import Named, Scene, of_route
from modelops.sync.verdict import Verdict


def judge_route(resource: Mapping[str, Any], scene: Scene) -> Verdict:
    """Return the verdict on a route; raises Refusal when it cannot lead where it shall."""
    spec, route = route_spec(resource), of_route(resource)
    _refuse_taken(route, scene)
    _refuse_unknown(spec, route, scene)

    def answers(name: str) -> bool:
        return scene.models[route.namespace, name].available

    silent = [t.model for t in spec.targets if t.weight and not answers(t.model)]
    if not silent:
        return Verdict(ready=True, reason="Serving", sentence=one_line(serving(spec)))
    instead = next(filter(answers, spec.fallback), None)
    return _falling_back(silent, instead) if instead else _silent(silent, spec)


def naming(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a route's status that tells its name."""
    return {"model": of_route(resource).served_name}


def route_spec(resource: Mapping[str, Any]) -> ModelRouteSpec:
    """Return the spec of a route; raises Refusal when it is not one."""
    try:
        return ModelRouteSpec.model_validate(resource.get("spec") or {})
    except ValidationError as error:
        raise invalid(KIND, error) from error


def _refuse_taken(route: Named, scene: Scene) -> None:
    """Refuse a name that an older object has; who serves what elsewhere is nobody's business."""
    holder = scene.holders[route.served_name]
    if (holder.kind, holder.address) == (route.kind, route.address):
        return
    near = holder.namespace == route.namespace
    who = f"{holder.kind} {holder.name}" if near else "an object of another namespace"
    raise Refusal(
        "NameTaken",
        f"the name `{route.served_name}` belongs to {who}, which is older",
        "choose another spec.modelName, or give the other one another name",
    )


def _refuse_unknown(spec: ModelRouteSpec, route: Named, scene: Scene) -> None:
    wanted = [*(target.model for target in spec.targets), *spec.fallback]
    space = route.namespace
    unknown = [name for name in dict.fromkeys(wanted) if (space, name) not in scene.models]
    if not unknown:
        return
    routes = [name for name in unknown if (space, name) in scene.routes]
    if routes:
        raise Refusal(
            "UnknownTarget",
            f"{_names(routes)} is a {KIND.name} and no model",
            "name the models themselves in spec.targets and spec.fallback",
        )
    others = "" if len(unknown) == len(set(wanted)) else "; the others answer"
    raise Refusal(
        "UnknownTarget",
        f"there is no model {_names(unknown)} in namespace {space}{others}",
        "create it, or correct spec.targets and spec.fallback",
    )


def serving(spec: ModelRouteSpec) -> str:
    """Return which models answer, in words."""
    chain = f"; falls back to {_names(spec.fallback, ', then ')}" if spec.fallback else ""
    return f"serving {_shares(spec)}{chain}"


def _shares(spec: ModelRouteSpec) -> str:
    whole = sum(target.weight for target in spec.targets)
    shares = [(target.model, target.weight) for target in spec.targets if target.weight]
    if len(shares) == 1:
        return shares[0][0]
    return ", ".join(f"{100 * weight / whole:.3g}% {name}" for name, weight in shares)


def _falling_back(silent: Sequence[str], instead: str) -> Verdict:
    told = f"no replica of {_names(silent)} answers; {instead} answers instead"
    return Verdict(ready=True, reason="FallingBack", sentence=told)


def _silent(silent: Sequence[str], spec: ModelRouteSpec) -> Verdict:
    hint = "" if spec.fallback else "; spec.fallback can name a model that stands in"
    told = f"no replica of {_names(silent)} answers, wait for it or scale it up{hint}"
    return Verdict(ready=False, reason="NoReplicas", sentence=told)


def _names(names: Iterable[str], between: str = ", ") -> str:
    return between.join(names)
