"""kopf as the watcher: what changes on the cluster becomes keys of the queue."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final

import kopf

from modelops.api.base import API_VERSION, GROUP, VERSION
from modelops.cluster import PLURALS
from modelops.sync.builds.observed import JOB
from modelops.sync.catalogue import Catalogue
from modelops.sync.observed import BUILD, CHILD_TYPES, OPTIONAL_TYPES, ChildType, Ref

MANAGED: Final = {"app.kubernetes.io/managed-by": "modelops"}
JOBS: Final = ChildType(*JOB)
WATCHED: Final = (*(one for one in CHILD_TYPES if one != BUILD), JOBS)
"""What is watched for those that own it; builds are watched as objects of their own."""

Add = Callable[[Ref], None]
Hook = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses between requests to an API server that does not answer: they never end."""

    first: tuple[float, ...] = (0.5, 1, 2, 3)
    then: float = 5

    def __iter__(self) -> Iterator[float]:
        """Return the pauses, in seconds."""
        return chain(self.first, repeat(self.then))


class _NoMemory(kopf.DiffBaseStorage):
    """What kopf knows of an object's earlier state: nothing.

    kopf would read it from an annotation, which anybody may fill with what cannot be read, and
    then give no event of that object to anyone.
    """

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return no state to compare."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Return that there was no state before."""
        return None

    def store(self, **_: Any) -> None:
        """Write nothing to the object."""


def watcher(catalogue: Catalogue, add: Add, start: Hook, stop: Hook) -> kopf.OperatorRegistry:
    """Return kopf's registry: watch the kinds and their children, and nothing else.

    Nothing is watched before `start` returns; `stop` is awaited when all watching has ended.
    """
    registry = kopf.OperatorRegistry()
    kopf.on.startup(registry=registry, id="start")(_hook(start))
    kopf.on.cleanup(registry=registry, id="stop")(_hook(stop))
    kopf.on.login(registry=registry, id="login")(_login)
    for kind in catalogue.looked_at.values():
        handler = _object(catalogue, add)
        kopf.on.event(GROUP, VERSION, kind.plural, registry=registry, id=kind.name)(handler)
    for child in (*WATCHED, *catalogue.platform.optional):
        handler = _child(catalogue, add)
        kopf.on.event(*_resource(child), registry=registry, id=child.kind, labels=MANAGED)(handler)
    return registry


def preferences(namespaces: tuple[str, ...] = ()) -> kopf.OperatorSettings:
    """Return kopf's settings: no Events of its own, never give the API server up.

    An operator for some namespaces looks at nothing outside them: no CRDs, no namespaces.
    """
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = bool(namespaces)
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.persistence.diffbase_storage = _NoMemory()
    chosen.networking.error_backoffs = Patience()
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    chosen.queueing.exit_timeout = 1
    for child in (*WATCHED, *OPTIONAL_TYPES):
        managed = ",".join(f"{key}={value}" for key, value in MANAGED.items())
        chosen.watching.label_selectors[_resource(child)] = managed
    return chosen


def owners(resource: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Ref]:
    """Yield the model that controls a resource, or the builds that share it."""
    listed: Iterable[Mapping[str, Any]] = resource["metadata"].get("ownerReferences", [])
    for one in listed:
        ours = one["apiVersion"].partition("/")[0] == GROUP
        controls = one["kind"] in catalogue.kinds and one.get("controller")
        if ours and (controls or one["kind"] in catalogue.builds):
            yield Ref(API_VERSION, one["kind"], resource["metadata"]["namespace"], one["name"])


def _resource(child: ChildType) -> tuple[str, str, str]:
    group, _, version = child.api_version.rpartition("/")
    return group, version, PLURALS[child.api_version, child.kind]


def _hook(hook: Hook) -> Callable[..., Awaitable[None]]:
    async def call(**_: Any) -> None:
        await hook()

    return call


def _object(catalogue: Catalogue, add: Add) -> Callable[..., Awaitable[None]]:
    async def changed(body: kopf.Body, **_: Any) -> None:
        add(Ref.of(body))
        for ref in owners(body, catalogue):
            add(ref)

    return changed


def _child(catalogue: Catalogue, add: Add) -> Callable[..., Awaitable[None]]:
    async def changed(body: kopf.Body, **_: Any) -> None:
        for ref in owners(body, catalogue):
            add(ref)

    return changed


async def _login(**given: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_kubeconfig(**given) or kopf.login_with_service_account(**given)
