"""From the cluster's objects to a snapshot (pure)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from modelops.api.base import GROUP
from modelops.api.conditions import STALLED, find
from modelops.api.kinds import KINDS
from modelops.api.parts import SESSION_HEADER
from modelops.gateway.capacity import capacity
from modelops.gateway.demand import wish as wished
from modelops.gateway.keys import KeyRecord, verifying
from modelops.gateway.snapshot import (
    Endpoint,
    Model,
    Offer,
    Route,
    Scale,
    Snapshot,
    Target,
    Tenant,
)
from modelops.sync.holders import holders

PART_LABEL: Final = f"{GROUP}/gateway"
API_KEY: Final = {PART_LABEL: "api-key"}
"""On the ConfigMap of an API key: its record, and whether it is revoked."""

SIGNING_KEY: Final = {PART_LABEL: "signing-key"}
"""On the ConfigMap of a signing key: its public half."""

PORT: Final = "http"
"""The name of the port where engines answer."""

DEMAND_PORT: Final = "demand"
"""The name of the port where the gateway's pods tell each other of the demand."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The ready replicas that one EndpointSlice lists, and the Service they belong to."""

    namespace: str
    service: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a ModelRoute asks for; models are named by their objects, in its own namespace.

    ``route`` is without them; ``targets`` are names and weights.
    """

    route: Route
    targets: tuple[tuple[str, int], ...]
    fallback: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is remembered of an API key; a record that cannot be read counts as revoked.

    ``foreign`` is that of a subject of another issuer, `ISSUER:SUBJECT`, whose tokens are refused.
    """

    id: str
    record: KeyRecord | None
    revoked: bool
    foreign: bool = False


def model(manifest: Mapping[str, Any]) -> Model:
    """Return the model that an object describes, without its replicas."""
    meta = manifest["metadata"]
    served = manifest["spec"]["model"].get("name") or meta["name"]
    kind = KINDS[manifest["kind"]]
    room = capacity(kind, manifest)
    scaling = manifest["spec"].get("scaling") or {}
    return Model(
        served,
        meta["namespace"],
        meta["name"],
        _created(meta),
        session_header=_session_header(manifest["spec"].get("routing") or {}),
        capacity=room,
        policy=wished.policy(scaling, room),
        asked=scaling.get("replicas", (manifest.get("status") or {}).get("replicas")),
        kind=kind.name,
        jobs=kind.jobs,
        scale=_scale(scaling, (manifest.get("status") or {}).get("replicas")),
        trouble=_trouble(manifest),
    )


def _scale(scaling: Mapping[str, Any], live: int | None) -> Scale:
    """Return what counts of a model's scaling; while it is paused that is what there is."""
    minimum, asked = scaling.get("minReplicas", 1), scaling.get("replicas")
    most = scaling.get("maxReplicas")
    maximum = max(1, minimum) if most is None else most
    paused = scaling.get("state") == "Paused"
    return Scale(min(minimum, maximum), maximum, live if paused else asked, paused)


def _trouble(manifest: Mapping[str, Any]) -> str:
    """Return why a model cannot start; what was found out about an earlier spec does not count."""
    stalled = find(manifest, STALLED) or {}
    current = stalled.get("observedGeneration") == manifest["metadata"].get("generation")
    return str(stalled["reason"]) if current and stalled.get("status") == "True" else ""


def wish(manifest: Mapping[str, Any]) -> Wish:
    """Return what a ModelRoute asks for."""
    meta, spec = manifest["metadata"], manifest["spec"]
    served = spec.get("modelName") or meta["name"]
    targets = tuple((t["model"], t.get("weight", 1)) for t in spec["targets"])
    route = Route(served, meta["namespace"], meta["name"], _created(meta))
    return Wish(route, targets, tuple(spec.get("fallback") or ()))


def tenant(manifest: Mapping[str, Any]) -> Tenant:
    """Return what a Tenant says."""
    spec = manifest["spec"]
    limits = spec.get("limits") or {}
    models, namespaces = spec.get("models"), spec.get("namespaces")
    return Tenant(
        name=manifest["metadata"]["name"],
        models=None if models is None else tuple(models),
        namespaces=None if namespaces is None else tuple(namespaces),
        priority=spec.get("priority", "Standard"),
        requests_per_minute=limits.get("requestsPerMinute"),
        tokens_per_minute=limits.get("tokensPerMinute"),
        concurrent_requests=limits.get("concurrentRequests"),
    )


def _created(meta: Mapping[str, Any]) -> int:
    return int(datetime.fromisoformat(meta["creationTimestamp"]).timestamp())


def _session_header(routing: Mapping[str, Any]) -> str | None:
    if routing.get("policy") != "PrefixAware":
        return None
    return str(routing.get("sessionHeader") or SESSION_HEADER).lower()


def endpoint_slice(manifest: Mapping[str, Any]) -> Slice:
    """Return the ready replicas of an EndpointSlice."""
    meta = manifest["metadata"]
    ports = (p.get("port") for p in manifest.get("ports") or () if p.get("name") == PORT)
    port = next(ports, None)
    found = (
        Endpoint(address, port)
        for endpoint in manifest.get("endpoints") or ()
        if port and manifest["addressType"] != "FQDN" and _ready(endpoint)
        for address in endpoint["addresses"][:1]
    )
    service = meta.get("labels", {}).get("kubernetes.io/service-name", "")
    return Slice(meta["namespace"], service, tuple(sorted(found)))


def peers(manifest: Mapping[str, Any]) -> tuple[Endpoint, ...]:
    """Return the gateway's pods of an EndpointSlice, ready or not: each may have requests.

    Only one that goes and whose Envoy answers no more has none.
    """
    ports = (p.get("port") for p in manifest.get("ports") or () if p.get("name") == DEMAND_PORT)
    port = next(ports, None)
    there = (one for one in manifest.get("endpoints") or () if not _gone(one.get("conditions", {})))
    addresses = (endpoint["addresses"][0] for endpoint in there)
    return tuple(Endpoint(address, port) for address in addresses) if port else ()


def _gone(conditions: Mapping[str, Any]) -> bool:
    return bool(conditions.get("terminating")) and conditions.get("serving") is False


def _ready(endpoint: Mapping[str, Any]) -> bool:
    return endpoint.get("conditions", {}).get("ready") is not False


def standing(manifest: Mapping[str, Any]) -> Standing:
    """Return what a ConfigMap remembers of an API key."""
    data = manifest.get("data") or {}
    identity = manifest["metadata"]["name"].removeprefix("api-key-")
    if (subject := data.get("subject")) and digest(subject) == identity:
        return Standing(subject, None, revoked=True, foreign=True)
    try:
        record = KeyRecord.parse(data.get("record", ""))
    except ValueError:
        return Standing(identity, None, revoked=True)
    if record.id != identity:  # one key's record must not speak for another's
        return Standing(identity, None, revoked=True)
    return Standing(identity, record, revoked="revoked" in data)


def digest(text: str) -> str:
    """Return what stands for a text in the name of an object."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def public_key(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the public JWK of a ConfigMap; None when it holds none."""
    try:
        return verifying((manifest.get("data") or {}).get("jwk", ""))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that the cluster's objects say, each in whatever order."""

    models: tuple[Model, ...] = ()
    wishes: tuple[Wish, ...] = ()
    slices: tuple[Slice, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    signing: tuple[Mapping[str, Any] | None, ...] = ()
    standings: tuple[Standing, ...] = ()


def snapshot(found: Found, now: datetime) -> Snapshot:
    """Return what the gateway shall serve."""
    records = [s.record for s in found.standings if s.record]
    gone = {r.id for r in records if r.expired(now)}
    public = sorted((key for key in found.signing if key), key=lambda key: str(key.get("kid")))
    models = with_replicas(found.models, found.slices)
    offers: list[Offer] = [*models, *_resolved(found.wishes, models)]
    held = holders(offers).values()
    routes = (one for one in held if isinstance(one, Route))
    return Snapshot(
        models=tuple(sorted((o for o in held if isinstance(o, Model)), key=lambda m: m.cluster)),
        routes=tuple(sorted(routes, key=lambda r: r.address)),
        tenants=tuple(sorted(found.tenants, key=lambda t: t.name)),
        public_keys=tuple(public),
        revoked=frozenset(s.id for s in found.standings if s.revoked and s.id not in gone),
        key_limits=frozenset(r.rpm for r in records if r.rpm is not None and r.id not in gone),
        key_tokens={r.id: r.tpm for r in records if r.tpm is not None and r.id not in gone},
    )


def _resolved(wishes: Iterable[Wish], models: Iterable[Model]) -> Iterator[Route]:
    """Yield the routes with the models that they name, leaving out those that do not exist."""
    known = {(m.namespace, m.name): m for m in models}
    for one in wishes:
        space = one.route.namespace
        shares = ((known.get((space, name)), weight) for name, weight in one.targets)
        stand_ins = (known.get((space, name)) for name in one.fallback)
        yield replace(
            one.route,
            targets=tuple(Target(model, weight) for model, weight in shares if model),
            fallback=tuple(model for model in stand_ins if model),
        )


def with_replicas(models: Iterable[Model], slices: Iterable[Slice]) -> tuple[Model, ...]:
    """Return the models with the replicas that answer for them, by their clusters' names."""
    places: dict[tuple[str, str], set[Endpoint]] = {}
    for one in slices:
        places.setdefault((one.namespace, one.service), set()).update(one.endpoints)
    return tuple(
        replace(m, endpoints=tuple(sorted(places.get((m.namespace, m.name), ()))))
        for m in sorted(models, key=lambda m: m.cluster)
    )
