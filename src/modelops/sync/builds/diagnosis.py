"""Why a build does not come to its end: the cause found in its Job and pods, and what to do."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from modelops.sync.builds.job import BUILDER
from modelops.sync.cause import Cause, short
from modelops.sync.diagnosis import hindrance, lost
from modelops.sync.observed import Manifest
from modelops.sync.replica import Replica, last_end, said

_REASON: Final = r"[A-Z][A-Za-z]+"


def failed(job: Manifest | None) -> Mapping[str, Any] | None:
    """Return the condition by which a Job has failed for good; None while it has not."""
    return job_condition(job, "Failed")


def job_condition(job: Manifest | None, kind: str) -> Mapping[str, Any] | None:
    """Return a condition of a Job that holds; None while it does not."""
    listed = ((job or {}).get("status") or {}).get("conditions") or []
    return next((c for c in listed if c["type"] == kind and c["status"] == "True"), None)


def diagnose_build(job: Manifest | None, pods: tuple[Manifest, ...]) -> Cause | None:
    """Return why a build is held up or has failed; None when nothing is wrong."""
    end = failed(job)
    if end and end.get("reason") == "DeadlineExceeded":
        return Cause(
            "DeadlineExceeded",
            f"the build took longer than it may ({short(end.get('message'))})",
            "raise spec.deadlineSeconds, or give the build more of what it needs",
        )
    youngest = max(pods, key=_born, default=None)
    found = _of_pod(Replica(youngest)) if youngest else None
    if not end:
        return _again(found) if found and Replica(youngest or {}).ended else found
    return found or Cause(
        "BuildFailed",
        f"the build failed ({short(end.get('message'))})",
        "see its Job with `kubectl describe job`; delete the Job to try again",
    )


def _again(cause: Cause) -> Cause:
    """Return the cause of an attempt that failed and that another will follow."""
    return replace(cause, action=f"{cause.action}; it is tried again by itself", passing=True)


def _born(pod: Manifest) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def _of_pod(replica: Replica) -> Cause | None:
    if "deletionTimestamp" in replica.pod["metadata"]:
        return None
    ended = _builder_end(replica)
    if ended:
        return _of_builder(replica, ended)
    return lost(replica) or hindrance(replica)


def _builder_end(replica: Replica) -> Mapping[str, Any] | None:
    listed = replica.status.get("containerStatuses") or []
    builder: Mapping[str, Any] = next((c for c in listed if c["name"] == BUILDER), {})
    ended = last_end(builder)
    return ended if ended and ended.get("exitCode") else None


def _of_builder(replica: Replica, ended: Mapping[str, Any]) -> Cause:
    if ended.get("reason") == "OOMKilled":
        return Cause(
            "OutOfMemory",
            "the build needed more memory than it may have and was killed",
            "raise spec.resources.memory",
        )
    told = said(ended) or {}
    hint = told.get("hint") or told.get("action")
    if re.fullmatch(_REASON, str(told.get("reason"))) and told.get("message") and hint:
        return Cause(str(told["reason"]), short(told["message"]), short(hint))
    return lost(replica) or Cause(
        "BuildFailed",
        f"the builder ended with code {ended.get('exitCode')} ({short(ended.get('message'))})",
        f"see `kubectl logs {replica.name}`; delete the Job to try again",
    )
