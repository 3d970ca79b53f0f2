"""How Envoy reaches the activator: what holds requests of models at zero until a replica is there.

It is the last resort of such a model's cluster: it gets a request only while no replica can. Which
model a request is for it learns from Envoy, whatever a caller sent.
"""

from collections.abc import Iterable
from typing import Any, Final

from modelops.gateway.answers import header
from modelops.gateway.loopback import LOOPBACK
from modelops.gateway.snapshot import Model
from modelops.gateway.typed import Json

CHAINED: Final = "x-modelops-chained"
"""Whether another model stands in when this one cannot answer."""

REFUSED: Final = "x-modelops-refused"
"""On answers of the activator: the next model of a chain, if there is one, shall answer."""

PREFERENCE: Final = 1_000_000
"""So little health is enough for the replicas to get everything; Envoy's default is 140 (%)."""

RETRIES: Final = 8
"""Attempts to reach an activator that starts anew; they take some three seconds in all."""


def places(model: Model, replicas: list[Json], port: int) -> Json:
    """Return the endpoints of a model's cluster, by priority."""
    if not model.may_rest:
        return {"endpoints": [{"lb_endpoints": replicas}]}
    address = {"socket_address": {"address": LOOPBACK, "port_value": port}}
    activator = {"endpoint": {"address": address, "hostname": model.cluster}}
    last = {"lb_endpoints": [activator], "priority": 1}
    return {
        "endpoints": [{"lb_endpoints": replicas}, last],
        "policy": {"overprovisioning_factor": PREFERENCE},
    }


def named(*models: Model) -> dict[str, Any]:
    """Return the fields of a route's action that have the activator told for which model it is.

    It is the `Host` of a request: Envoy takes it from the place that was chosen, which no route and
    no cluster of several models knows beforehand. Replicas have none there: theirs stays as it was.
    """
    return {"auto_host_rewrite": True} if _rest(models) else {}


def chained(*models: Model) -> dict[str, Any]:
    """Return the fields of a chain's route that tell the activator that there are others."""
    return {"request_headers_to_add": [header(CHAINED, "1")]} if _rest(models) else {}


def _rest(models: Iterable[Model]) -> bool:
    return any(model.may_rest for model in models)


def next_one(retries: Json) -> Json:
    """Return how such a route retries: a refusal of the activator leads on, too."""
    on = f"{retries['retry_on']},retriable-headers"
    refused = {"name": REFUSED, "present_match": True}
    return retries | {"retry_on": on, "retriable_headers": [refused]}


def patient(retries: Json) -> Json:
    """Return how the route to a model that has only the activator retries."""
    pace = {"base_interval": "0.025s", "max_interval": "2s"}
    return retries | {"num_retries": RETRIES, "retry_back_off": pace}
