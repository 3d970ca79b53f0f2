"""From the cluster's objects to a snapshot (pure)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from modelops.api.base import GROUP
from modelops.gateway.keys import KeyRecord
from modelops.gateway.snapshot import Endpoint, Model, Snapshot

PART_LABEL: Final = f"{GROUP}/gateway"
API_KEY: Final = {PART_LABEL: "api-key"}
"""On the ConfigMap of an API key: its record, and whether it is revoked."""

SIGNING_KEY: Final = {PART_LABEL: "signing-key"}
"""On the ConfigMap of a signing key: its public half."""

PORT: Final = "http"
"""The name of the port where engines answer."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The ready replicas that one EndpointSlice lists, and the Service they belong to."""

    namespace: str
    service: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is remembered of an API key; a record that cannot be read counts as revoked."""

    id: str
    record: KeyRecord | None
    revoked: bool


def model(manifest: Mapping[str, Any]) -> Model:
    """Return the model that an object describes, without its replicas."""
    meta = manifest["metadata"]
    created = datetime.fromisoformat(meta["creationTimestamp"])
    served = manifest["spec"]["model"].get("name") or meta["name"]
    return Model(served, meta["namespace"], meta["name"], int(created.timestamp()))


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


def _ready(endpoint: Mapping[str, Any]) -> bool:
    return endpoint.get("conditions", {}).get("ready") is not False


def standing(manifest: Mapping[str, Any]) -> Standing:
    """Return what a ConfigMap remembers of an API key."""
    data = manifest.get("data") or {}
    identity = manifest["metadata"]["name"].removeprefix("api-key-")
    try:
        record = KeyRecord.parse(data.get("record", ""))
    except ValueError:
        return Standing(identity, None, revoked=True)
    return Standing(identity, record, revoked="revoked" in data)


def public_key(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the public JWK of a ConfigMap; None when it holds none."""
    try:
        jwk = json.loads((manifest.get("data") or {}).get("jwk", ""))
    except ValueError:
        return None
    return jwk if isinstance(jwk, dict) and "d" not in jwk else None


def snapshot(
    models: Iterable[Model],
    slices: Iterable[Slice],
    keys: Iterable[Mapping[str, Any] | None],
    standings: Iterable[Standing],
    now: datetime,
) -> Snapshot:
    """Return what the gateway shall serve."""
    standings = tuple(standings)
    records = [s.record for s in standings if s.record]
    gone = {r.id for r in records if r.expired(now)}
    found = sorted((key for key in keys if key), key=lambda key: str(key.get("kid")))
    return Snapshot(
        models=_with_replicas(_unique(models), slices),
        public_keys=tuple(found),
        revoked=frozenset(s.id for s in standings if s.revoked and s.id not in gone),
        key_limits=frozenset(r.rpm for r in records if r.rpm is not None and r.id not in gone),
    )


def _unique(models: Iterable[Model]) -> list[Model]:
    """Return one model a name: the oldest, so that no newcomer takes over another's callers."""
    newest_first = sorted(models, key=lambda m: (m.created, m.namespace, m.name), reverse=True)
    return list({m.served_name: m for m in newest_first}.values())


def _with_replicas(models: Iterable[Model], slices: Iterable[Slice]) -> tuple[Model, ...]:
    places: dict[tuple[str, str], set[Endpoint]] = {}
    for one in slices:
        places.setdefault((one.namespace, one.service), set()).update(one.endpoints)
    return tuple(
        replace(m, endpoints=tuple(sorted(places.get((m.namespace, m.name), ()))))
        for m in sorted(models, key=lambda m: m.cluster)
    )
