"""The Events that tell of a change of an object's Ready condition or replicas (pure)."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from modelops.api import conditions as c
from modelops.sync.change import CREATED
from modelops.sync.desired import Desired
from modelops.sync.observed import Subject

LONGEST_NOTE: Final = 1024
"""Bytes that the API server takes as an Event's note."""


def announcements(
    observed: Subject, desired: Desired, now: datetime, reporter: str
) -> Iterator[dict[str, Any]]:
    """Yield the Events to create: of a change of replicas, and of Ready's status or reason."""
    told = _Teller(observed, now, reporter)
    change = scaled(observed, desired)
    if change:
        yield told.event(direction(change), _told(change))
    ready = c.find({"status": desired.status}, c.READY)
    before = c.find(observed.resource, c.READY)
    if ready and not (before and _gist(before) == _gist(ready)):
        kind = "Warning" if _bad(desired.status) else "Normal"
        yield told.event(ready["reason"], ready["message"], kind=kind)


def scaled(observed: Subject, desired: Desired) -> Mapping[str, Any] | None:
    """Return the change of replicas that this pass tells of, if there is one."""
    before = (observed.resource.get("status") or {}).get("lastScale")
    change = desired.status.get("lastScale")
    return change if change != before and change and change["metric"] != CREATED else None


def direction(change: Mapping[str, Any]) -> str:
    """Return the reason of the Event that tells of a change of replicas."""
    before, after = change["replicasBefore"], change["replicas"]
    if not before:
        return "Woken"
    if not after:
        return "ScaledToZero"
    return "ScaledUp" if after > before else "ScaledDown"


def _told(change: Mapping[str, Any]) -> str:
    counts = f"{change['replicasBefore']} -> {change['replicas']} replicas"
    return f"{counts} by {change['metric']}: {change['message']}"


def _gist(condition: Mapping[str, Any]) -> tuple[str, str]:
    return condition["status"], condition["reason"]


@dataclass(frozen=True, slots=True)
class _Teller:
    """Makes the Events about one object that one pass of one operator tells."""

    observed: Subject
    now: datetime
    reporter: str

    def event(self, reason: str, note: str, *, kind: str = "Normal") -> dict[str, Any]:
        """Return the Event with that reason and note."""
        observed, stamp = self.observed, self.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": f"{observed.name}.{_digest(observed.uid, stamp, reason)}",
                "namespace": observed.namespace,
            },
            "regarding": {
                "apiVersion": observed.resource["apiVersion"],
                "kind": observed.kind.name,
                "namespace": observed.namespace,
                "name": observed.name,
                "uid": observed.uid,
            },
            "type": kind,
            "reason": reason,
            "note": note.encode()[:LONGEST_NOTE].decode(errors="ignore"),
            "action": "Reconcile",
            "eventTime": stamp,
            "reportingController": "modelops.dev/operator",
            "reportingInstance": self.reporter,
        }


def _bad(status: Mapping[str, Any]) -> bool:
    """Tell whether the change is for a person to look at."""
    stalled = c.find({"status": status}, c.STALLED)
    return stalled is not None and stalled["status"] == "True"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
