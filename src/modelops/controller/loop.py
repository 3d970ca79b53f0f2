"""One pass over one object: observe, sync, converge, report."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from modelops.api import conditions as c
from modelops.cluster import (
    Cluster,
    ClusterError,
    Conflict,
    Invalid,
    NotFound,
    Refused,
    Unreachable,
)
from modelops.controller.builds import cost
from modelops.controller.events import announcements, direction, scaled
from modelops.controller.failure import Failure, refused
from modelops.controller.metrics import Metrics
from modelops.controller.observe import observe
from modelops.controller.observe_build import observe_build
from modelops.scaling.decision import Decision
from modelops.sync.builds.desired import sync_build
from modelops.sync.builds.observed import ObservedBuild
from modelops.sync.catalogue import Catalogue
from modelops.sync.desired import (
    ASKER,
    INTENT,
    Apply,
    Ask,
    Create,
    Delete,
    Desired,
    Replace,
    Write,
    sync,
)
from modelops.sync.observed import OPTIONAL_TYPES, ChildType, Manifest, Observed, Ref, Subject

KIND_GOES: Final = "custom resource definition is terminating"
"""How the API server speaks of a kind that is being removed."""

OPTIONAL_KINDS: Final = frozenset(kind.kind for kind in OPTIONAL_TYPES)

log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Loop:
    """Passes over the objects of a catalogue's kinds on a cluster."""

    cluster: Cluster
    catalogue: Catalogue
    metrics: Metrics = field(default_factory=Metrics.create)
    now: Callable[[], datetime] = _now
    reporter: str = "modelops-operator"
    on_lacking: Callable[[frozenset[ChildType]], None] = lambda _: None
    """Is told at each look at an object which optional kinds the cluster lacks."""
    decided: Callable[[Ref], Decision | None] = lambda _: None
    """Tells how many replicas the gateway says that a model needs."""
    note: Callable[[Ref], str] = lambda _: ""
    """Tells what there is to say of a model's priority."""
    keda_trouble: Callable[[Ref], str] = lambda _: ""
    """Tells why KEDA does not scale a model that it should."""

    async def run(self, ref: Ref) -> float | None:
        """Do one pass; return the seconds after which to look again.

        Raises Refused when the API server refused a write (the object shows it by then), and
        another ClusterError when the pass could not be done.
        """
        began, outcome = time.monotonic(), "failed"
        try:
            observed = await self._look(ref)
            if observed is None:
                outcome = "gone"
                self.metrics.builds.forget(ref)
                return None
            desired, failure = await self._conclude(observed)
            outcome = _outcome(desired, failure)
        except Exception as error:
            _complain(ref, error)
            raise
        finally:
            self._measure(ref, outcome, time.monotonic() - began)
        if failure:
            raise failure.error
        return desired.recheck_seconds

    async def _look(self, ref: Ref) -> Observed | ObservedBuild | None:
        catalogue = self.catalogue
        if ref.kind in catalogue.builds:
            kind = catalogue.builds[ref.kind]
            return await observe_build(self.cluster, kind, ref, catalogue.platform)
        optional = catalogue.platform.optional
        observed = await observe(self.cluster, catalogue.kinds[ref.kind], ref, optional)
        if observed is None:
            return None
        self.on_lacking(observed.lacking)
        return replace(
            observed,
            decision=self.decided(ref),
            note=self.note(ref),
            keda_trouble=self.keda_trouble(ref),
        )

    async def _conclude(self, observed: Observed | ObservedBuild) -> tuple[Desired, Failure | None]:
        now = self.now()
        if isinstance(observed, ObservedBuild):
            desired = sync_build(observed, self.catalogue.platform, now)
        else:
            desired = sync(observed, self.catalogue, now)
        failure = await converge(self.cluster, observed, desired.writes)
        if failure:
            desired = refused(desired, failure, observed, now)
        await self._report(observed, desired, now)
        return desired, failure

    async def _report(self, observed: Subject, desired: Desired, now: datetime) -> None:
        ref = Ref.of(observed.resource)
        before = observed.resource.get("status") or {}
        if isinstance(observed, ObservedBuild):
            self.metrics.builds.note(ref, desired.status)
        _tell(ref, desired, changed=_ready(before) != _ready(desired.status))
        if desired.status == before:
            return
        await self.cluster.apply_status(ref, observed.uid, desired.status, INTENT)
        self._count(observed, desired)
        for event in announcements(observed, desired, now, self.reporter):
            await self._announce(event)

    def _count(self, observed: Subject, desired: Desired) -> None:
        spent = cost(observed, desired.status) if isinstance(observed, ObservedBuild) else None
        if spent:
            method = str(observed.resource["spec"]["method"])
            self.metrics.build_seconds.labels(method).observe(spent[0])
            self.metrics.build_gpu_seconds.labels(method).inc(spent[1])
        change = scaled(observed, desired)
        if change:
            told = (observed.kind.name, direction(change), change["metric"])
            self.metrics.scale_changes.labels(*told).inc()

    async def _announce(self, event: Manifest) -> None:
        try:
            await self.cluster.create(event)
        except ClusterError as error:  # an Event is news, never a reason to fail a pass
            log.warning("an Event could not be made: %s", error)

    def _measure(self, ref: Ref, outcome: str, seconds: float) -> None:
        self.metrics.passes.labels(ref.kind, outcome).inc()
        self.metrics.pass_seconds.labels(ref.kind).observe(seconds)
        self.metrics.last_pass.set_to_current_time()


async def converge(
    cluster: Cluster, observed: Subject, writes: tuple[Write, ...]
) -> Failure | None:
    """Do the writes in order, up to one that the API server refuses; return that one.

    Raises ClusterError when a kind goes away while it is written: the next look misses it.
    """
    for write in writes:
        try:
            await _write(cluster, observed, write)
        except (Refused, NotFound) as error:
            if _going(write, error):
                raise
            return Failure(write, error if isinstance(error, Refused) else Refused(str(error)))
    return None


def _going(write: Write, error: ClusterError) -> bool:
    """Tell whether a write failed since somebody removes its kind: one that clusters may lack."""
    if not isinstance(write, Apply) or write.manifest["kind"] not in OPTIONAL_KINDS:
        return False
    return isinstance(error, NotFound) or KIND_GOES in str(error)


async def _write(cluster: Cluster, observed: Subject, write: Write) -> None:
    match write:
        case Apply():
            await cluster.apply(_pinned(observed, write.manifest), write.manager)
        case Create():
            await _create(cluster, write)
        case Replace():
            await _replace(cluster, write)
        case Delete():
            await _delete(cluster, write)
        case Ask():
            await _ask(cluster, write)


def _pinned(observed: Subject, manifest: Manifest) -> Mapping[str, Any]:
    """Name the very object that was observed, so that no other of its name is overwritten."""
    live = observed.children.get(Ref.of(manifest))
    if live is None:
        return manifest
    return {**manifest, "metadata": {**manifest["metadata"], "uid": live["metadata"]["uid"]}}


async def _create(cluster: Cluster, write: Create) -> None:
    with suppress(Conflict):  # somebody else has made it meanwhile
        await cluster.create(write.manifest)


async def _replace(cluster: Cluster, write: Replace) -> None:
    try:
        await cluster.replace(write.manifest)
    except (NotFound, Conflict) as error:
        raise Unreachable(f"it has changed meanwhile, looking again ({error})") from error


async def _delete(cluster: Cluster, write: Delete) -> None:
    try:
        await cluster.delete(write.ref, write.uid)
    except (NotFound, Conflict):
        return  # that very object is gone already


async def _ask(cluster: Cluster, write: Ask) -> None:
    with suppress(Invalid):  # somebody else has asked meanwhile
        await cluster.scale(write.ref, None, write.replicas, ASKER)


def _ready(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return c.find({"status": status}, c.READY) or {}


def _outcome(desired: Desired, failure: Failure | None) -> str:
    if failure:
        return "refused"
    if _ready(desired.status).get("status") == "True":
        return "ready"
    stalled = c.find({"status": desired.status}, c.STALLED) or {}
    return "stalled" if stalled.get("status") == "True" else "waiting"


def _tell(ref: Ref, desired: Desired, *, changed: bool) -> None:
    level = logging.INFO if changed else logging.DEBUG
    fields = _fields(ref, desired.reason)
    log.log(level, "%s %s: %s", ref.kind, _address(ref), desired.sentence, extra=fields)


def _complain(ref: Ref, error: Exception) -> None:
    """Log why a pass could not be done; a defect of ours with its traceback."""
    defect = None if isinstance(error, ClusterError) else error
    fields = _fields(ref, "PassFailed")
    log.warning("%s %s: %s", ref.kind, _address(ref), error, exc_info=defect, extra=fields)


def _address(ref: Ref) -> str:
    return f"{ref.namespace}/{ref.name}"


def _fields(ref: Ref, reason: str) -> dict[str, str]:
    return {"kind": ref.kind, "namespace": ref.namespace, "object": ref.name, "reason": reason}
