"""How far a build is, from what its containers say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelops.api.conditions import one_line
from modelops.sync.progress import Progress

_LONGEST_STAGE = 40


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """The stage, the whole percent of all that is done, the seconds that the rest may take."""

    stage: str
    percent: int | None = None
    eta_seconds: int | None = None

    @classmethod
    def read(cls, event: Mapping[str, Any] | None) -> "BuildProgress | None":
        """Return the progress that an event of a container tells, if it does."""
        event = event or {}
        fetched = Progress.read(event)
        if fetched:
            return cls("fetch", fetched.percent)
        stage = event.get("stage")
        if not isinstance(stage, str) or not stage.strip():
            return None
        done = event.get("done", event.get("percent"))
        eta = event.get("etaSeconds")
        return cls(one_line(stage)[:_LONGEST_STAGE], _count(done, 100), _count(eta, 2**31 - 1))

    @property
    def sentence(self) -> str:
        """The progress for people."""
        percent = "" if self.percent is None else f", {self.percent}% done"
        eta = "" if self.eta_seconds is None else f", about {_time(self.eta_seconds)} left"
        return f"{self.stage}{percent}{eta}"

    @property
    def document(self) -> dict[str, Any]:
        """The progress as a status has it."""
        known = {"percent": self.percent, "etaSeconds": self.eta_seconds}
        return {"stage": self.stage, **{k: v for k, v in known.items() if v is not None}}


def _count(value: object, most: int) -> int | None:
    return value if type(value) is int and 0 <= value <= most else None


def _time(seconds: int) -> str:
    """Return a time for people, in its greatest unit."""
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
