"""One pod, read: which version it is, how far it got, whether it answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from modelops.sync.observed import Manifest, Observed
from modelops.sync.pod import marked_revision

ENGINE: Final = "engine"
"""The container that serves."""

LOOP: Final = 2
"""This many crashes in a row make a crash loop."""

CRASH_MEMORY: Final = timedelta(minutes=3)
"""How long a replica that crashed more than once is distrusted at least."""

LOSS_MEMORY: Final = timedelta(minutes=10)
"""How long a pod that was taken away explains why the model does not serve."""

CRASH_FORGIVEN: Final = timedelta(minutes=10)
"""A run of this length ends a crash loop; the kubelet's own back-off ends then, too."""


@dataclass(frozen=True)
class Replica:
    """A view of one pod manifest; ``log`` has the last lines of its engine if that crashed."""

    pod: Manifest
    log: str = ""

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.pod["metadata"]["name"])

    @property
    def revision(self) -> str | None:
        """The digest of the template the pod was made from."""
        return marked_revision(self.pod)

    @property
    def ended(self) -> bool:
        """Whether all containers of the pod have ended for good."""
        return self.status.get("phase") in {"Succeeded", "Failed"}

    @property
    def leaving(self) -> bool:
        """Whether the pod is being deleted or has ended."""
        return "deletionTimestamp" in self.pod["metadata"] or self.ended

    @property
    def draining(self) -> bool:
        """Whether the pod is being deleted and still runs."""
        return self.leaving and not self.ended

    @property
    def status(self) -> Mapping[str, Any]:
        """The pod's status."""
        return self.pod.get("status") or {}

    @property
    def ready(self) -> bool:
        """Whether the pod answers requests."""
        return not self.leaving and self.condition("Ready").get("status") == "True"

    def condition(self, kind: str) -> Mapping[str, Any]:
        """Return the pod's condition of that type, empty if it has none."""
        conditions = self.status.get("conditions") or []
        return next((c for c in conditions if c["type"] == kind), {})

    @cached_property
    def weights(self) -> Mapping[str, Any]:
        """The status of the container that fetches the weights."""
        return self._container("initContainerStatuses", "weights")

    @cached_property
    def engine(self) -> Mapping[str, Any]:
        """The status of the engine's container."""
        return self._container("containerStatuses", ENGINE)

    @property
    def crash(self) -> Mapping[str, Any] | None:
        """How the engine ended last, if it did and does not answer now."""
        return None if self.ready else last_end(self.engine)

    @property
    def containers(self) -> tuple[Mapping[str, Any], ...]:
        """The status of every container, those that run first first."""
        names = ("initContainerStatuses", "containerStatuses")
        return tuple(c for name in names for c in self.status.get(name) or [])

    @property
    def fetched(self) -> Mapping[str, Any] | None:
        """What the weights container said when it was done; None before that."""
        ended = self.weights.get("state", {}).get("terminated") or {}
        return said(ended) or {} if ended.get("exitCode") == 0 else None

    @property
    def fetching(self) -> bool:
        """Whether the weights container is at work."""
        return "running" in self.weights.get("state", {})

    @property
    def starting(self) -> bool:
        """Whether the engine runs but does not answer yet."""
        return "running" in self.engine.get("state", {}) and not self.ready

    @property
    def answered(self) -> bool:
        """Whether the engine that runs answered before and does not now."""
        began = self.engine.get("state", {}).get("running", {}).get("startedAt")
        ready = self.condition("Ready")
        silent_since = ready.get("lastTransitionTime") if ready.get("status") == "False" else None
        return bool(began and silent_since and silent_since > began)

    def ended_lately(self, now: datetime) -> bool:
        """Tell whether the pod ended for good, and not so long ago that it is history."""
        disrupted = self.condition("DisruptionTarget")
        when = _time(disrupted, "lastTransitionTime", _time(self.status, "startTime", now))
        return self.status.get("phase") == "Failed" and now - when < LOSS_MEMORY

    def looping(self, now: datetime) -> bool:
        """Tell whether the engine crashed more than once and may do so again.

        It is trusted again once it has outlived the run that crashed, and CRASH_MEMORY.
        """
        crashed = self.engine.get("lastState", {}).get("terminated") or {}
        if self.engine.get("restartCount", 0) < LOOP or not crashed:
            return False
        running = self.engine.get("state", {}).get("running")
        if running is None:
            return True
        lasted = _time(crashed, "finishedAt", now) - _time(crashed, "startedAt", now)
        runs = now - _time(running, "startedAt", now)
        return lasted < CRASH_FORGIVEN and runs < max(lasted, CRASH_MEMORY)

    def _container(self, field: str, name: str) -> Mapping[str, Any]:
        return next((c for c in self.status.get(field) or [] if c["name"] == name), {})


def replicas(observed: Observed) -> tuple[Replica, ...]:
    """Return a view of each of the model's pods."""
    named = ((pod["metadata"]["name"], pod) for pod in observed.pods)
    return tuple(Replica(pod, observed.logs.get(name, "")) for name, pod in named)


def last_end(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return how a container ended last, from its status; None when it never did."""
    ends = (container.get(state, {}).get("terminated") for state in ("state", "lastState"))
    return next((end for end in ends if end), None)


def _time(state: Mapping[str, Any], field: str, default: datetime) -> datetime:
    text = state.get(field)
    return datetime.fromisoformat(text) if text else default


def said(terminated: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON object that a container left as its termination message, if it did."""
    try:
        message = json.loads(terminated.get("message") or "")
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
