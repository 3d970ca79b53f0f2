"""The Event that tells of a change of an object's Ready condition (pure)."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from modelops.api import conditions as c
from modelops.sync.desired import Desired
from modelops.sync.observed import Observed

LONGEST_NOTE: Final = 1024
"""Bytes that the API server takes as an Event's note."""


def announcement(
    observed: Observed, desired: Desired, now: datetime, reporter: str
) -> dict[str, Any] | None:
    """Return the Event to create; None when Ready has the status and reason it had before."""
    ready = c.find({"status": desired.status}, c.READY)
    before = c.find(observed.resource, c.READY)
    if ready is None or (before and _gist(before) == _gist(ready)):
        return None
    return _event(observed, ready, desired, now, reporter)


def _gist(condition: Mapping[str, Any]) -> tuple[str, str]:
    return condition["status"], condition["reason"]


def _event(
    observed: Observed, ready: Mapping[str, Any], desired: Desired, now: datetime, reporter: str
) -> dict[str, Any]:
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{observed.name}.{_digest(observed.uid, stamp, ready['reason'])}",
            "namespace": observed.namespace,
        },
        "regarding": {
            "apiVersion": observed.resource["apiVersion"],
            "kind": observed.kind.name,
            "namespace": observed.namespace,
            "name": observed.name,
            "uid": observed.uid,
        },
        "type": "Warning" if _bad(desired.status) else "Normal",
        "reason": ready["reason"],
        "note": ready["message"].encode()[:LONGEST_NOTE].decode(errors="ignore"),
        "action": "Reconcile",
        "eventTime": stamp,
        "reportingController": "modelops.dev/operator",
        "reportingInstance": reporter,
    }


def _bad(status: Mapping[str, Any]) -> bool:
    """Tell whether the change is for a person to look at."""
    stalled = c.find({"status": status}, c.STALLED)
    return stalled is not None and stalled["status"] == "True"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
