"""One pod, read: which version it is, how far it got, whether it answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from modelops.sync.observed import Manifest
from modelops.sync.pod import REVISION_LABEL

CRASH_MEMORY: Final = timedelta(minutes=3)
"""How long a replica that crashed more than once is distrusted after it came up again."""


@dataclass(frozen=True)
class Replica:
    """A view of one pod manifest."""

    pod: Manifest

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.pod["metadata"]["name"])

    @property
    def revision(self) -> str | None:
        """The digest of the template the pod was made from."""
        label = self.pod["metadata"].get("labels", {}).get(REVISION_LABEL)
        return None if label is None else str(label)

    @property
    def leaving(self) -> bool:
        """Whether the pod is being deleted or has ended."""
        ended = self.status.get("phase") in {"Succeeded", "Failed"}
        return "deletionTimestamp" in self.pod["metadata"] or ended

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
        return self._container("containerStatuses", "engine")

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

    def crashed_lately(self, now: datetime) -> bool:
        """Tell whether the engine crashed more than once and the last time is not long ago."""
        ended = self.engine.get("lastState", {}).get("terminated") or {}
        if self.engine.get("restartCount", 0) < 2 or "finishedAt" not in ended:
            return False
        return now - datetime.fromisoformat(ended["finishedAt"]) < CRASH_MEMORY

    def _container(self, field: str, name: str) -> Mapping[str, Any]:
        return next((c for c in self.status.get(field) or [] if c["name"] == name), {})


def said(terminated: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON object that a container left as its termination message, if it did."""
    try:
        message = json.loads(terminated.get("message") or "")
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
