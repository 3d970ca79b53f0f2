"""What policies are judged among: the models and routes of a cluster, and who has which name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from modelops.sync.holders import holders

Address = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Named:
    """A model or a route, as far as a policy looks at it.

    ``served_name`` is what clients send, ``created`` its age in seconds since the epoch,
    ``available`` whether a replica answers.
    """

    kind: str
    namespace: str
    name: str
    served_name: str
    created: int
    available: bool = False

    @property
    def address(self) -> Address:
        """Namespace and name."""
        return self.namespace, self.name

    @classmethod
    def of(cls, resource: Mapping[str, Any], served_name: str | None) -> Self:
        """Return an object that is called so, or by its own name when it says nothing."""
        meta = resource["metadata"]
        born = meta.get("creationTimestamp")
        status = resource.get("status") or {}
        return cls(
            resource["kind"],
            meta["namespace"],
            meta["name"],
            served_name or meta["name"],
            int(datetime.fromisoformat(born).timestamp()) if born else 0,
            bool(status.get("readyReplicas")),
        )


def of_model(resource: Mapping[str, Any]) -> Named:
    """Return what policies see of a model."""
    return Named.of(resource, resource["spec"]["model"].get("name"))


def of_route(resource: Mapping[str, Any]) -> Named:
    """Return what policies see of a route."""
    return Named.of(resource, (resource.get("spec") or {}).get("modelName"))


@dataclass(frozen=True, slots=True)
class Scene:
    """The models and routes by address, and by the names that clients send.

    ``system`` is the platform's own namespace.
    """

    models: Mapping[Address, Named]
    routes: Mapping[Address, Named]
    holders: Mapping[str, Named]
    system: str

    @classmethod
    def of(cls, models: Iterable[Named], routes: Iterable[Named], system: str) -> Self:
        """Return the scene of these objects."""
        models, routes = tuple(models), tuple(routes)
        return cls(
            {one.address: one for one in models},
            {one.address: one for one in routes},
            holders((*models, *routes)),
            system,
        )
