"""kopf as the watcher: what changes on the cluster becomes keys of the queue."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final

import kopf

from modelops.api.base import API_VERSION, GROUP, VERSION
from modelops.cluster import PLURALS
from modelops.sync.catalogue import Catalogue
from modelops.sync.observed import CHILD_TYPES, OPTIONAL_TYPES, ChildType, Ref

MANAGED: Final = {"app.kubernetes.io/managed-by": "modelops"}
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
    for kind in catalogue.kinds.values():
        kopf.on.event(GROUP, VERSION, kind.plural, registry=registry, id=kind.name)(_object(add))
    for child in (*CHILD_TYPES, *catalogue.platform.optional):
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
    for child in (*CHILD_TYPES, *OPTIONAL_TYPES):
        managed = ",".join(f"{key}={value}" for key, value in MANAGED.items())
        chosen.watching.label_selectors[_resource(child)] = managed
    return chosen


def owner(resource: Mapping[str, Any], catalogue: Catalogue) -> Ref | None:
    """Return the object of a catalogue's kind that controls a resource."""
    owners: Iterable[Mapping[str, Any]] = resource["metadata"].get("ownerReferences", [])
    for one in owners:
        ours = one["kind"] in catalogue.kinds and one["apiVersion"].partition("/")[0] == GROUP
        if ours and one.get("controller"):
            return Ref(API_VERSION, one["kind"], resource["metadata"]["namespace"], one["name"])
    return None


def _resource(child: ChildType) -> tuple[str, str, str]:
    group, _, version = child.api_version.rpartition("/")
    return group, version, PLURALS[child.api_version, child.kind]


def _hook(hook: Hook) -> Callable[..., Awaitable[None]]:
    async def call(**_: Any) -> None:
        await hook()

    return call


def _object(add: Add) -> Callable[..., Awaitable[None]]:
    async def changed(body: kopf.Body, **_: Any) -> None:
        add(Ref.of(body))

    return changed


def _child(catalogue: Catalogue, add: Add) -> Callable[..., Awaitable[None]]:
    async def changed(body: kopf.Body, **_: Any) -> None:
        ref = owner(body, catalogue)
        if ref:
            add(ref)

    return changed


async def _login(**given: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_kubeconfig(**given) or kopf.login_with_service_account(**given)
