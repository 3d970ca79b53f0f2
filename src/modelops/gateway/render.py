"""From a snapshot to all the files that Envoy reads."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from orjson import Fragment

from modelops.gateway.bootstrap import bootstrap
from modelops.gateway.clusters import cluster
from modelops.gateway.groups import chains, composite
from modelops.gateway.listener import CERTIFICATE, certificate
from modelops.gateway.memo import Memo, dumps
from modelops.gateway.module import NAME, module
from modelops.gateway.routes import virtual_hosts
from modelops.gateway.snapshot import Front, Snapshot
from modelops.gateway.typed import discovery, typed

BOOTSTRAP: Final = "bootstrap.json"
_FILTER: Final = "envoy.config.core.v3.TypedExtensionConfig"


Clusters = Mapping[str, Fragment]
"""Envoy's clusters as JSON, by name."""


def render(
    snapshot: Snapshot,
    front: Front,
    retired: Clusters = MappingProxyType({}),
    memo: Memo | None = None,
) -> dict[str, str]:
    """Return the files by name, in the order in which they are written.

    What is referred to comes before what refers to it; the bootstrap is last, so that Envoy
    starts when all is there. Equal inputs give equal texts. ``retired`` are clusters of earlier
    configurations that stay for a while; ``memo`` spares what was made before.
    """
    known = memo or Memo()
    found = {**retired, **clusters(snapshot, front, known)}
    contents = {
        "clusters.json": discovery(found[name] for name in sorted(found)),
        f"{NAME}.json": _filter(NAME, module(snapshot, front)),
        **_certificate(front),
        "routes.json": discovery([virtual_hosts(snapshot, known)]),
        BOOTSTRAP: bootstrap(front),
    }
    return {name: _text(content) for name, content in contents.items()}


def clusters(snapshot: Snapshot, front: Front, memo: Memo) -> dict[str, Fragment]:
    """Return all clusters that a snapshot needs, by name."""
    routed = (model for route in snapshot.routes for model in route.models)
    models = {model.cluster: model for model in (*snapshot.models, *routed)}
    chained = {m.cluster for route in snapshot.routes if route.fallback for m in route.models}
    port = front.activator_port
    alone = {n: memo.text(cluster, m, port, chained=n in chained) for n, m in models.items()}
    grouped = dict(chain for route in snapshot.routes for chain in chains(route))
    return alone | {n: memo.text(composite, n, members) for n, members in grouped.items()}


def _certificate(front: Front) -> dict[str, Any]:
    return {f"{CERTIFICATE}.json": discovery([certificate(front.tls)])} if front.tls else {}


def _filter(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return discovery([typed(_FILTER, name=name, typed_config=config)])


def _text(content: Mapping[str, Any]) -> str:
    return dumps(content).decode() + "\n"
