"""What the gateway says of how many replicas each model needs: asked again and again, over HTTP."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import BaseModel, Field, ValidationError

from modelops.scaling.decision import Decision
from modelops.sync.observed import Ref

STALE_SECONDS: Final = 15.0
"""A decision that has not been made anew for so long is none."""

TIMEOUT: Final = ClientTimeout(total=5)
log = logging.getLogger(__name__)


class _Entry(BaseModel):
    """What is said of one model."""

    replicas: int = Field(ge=0)
    metric: str = Field(max_length=63)
    sentence: str = Field(max_length=1024)
    value: float | None = None
    target: float | None = None
    at: float
    silent: bool = False
    questions: int | None = None
    """How often KEDA has asked about it; None where the gateway does not say."""

    def decision(self) -> Decision:
        return Decision(self.replicas, self.metric, self.sentence, self.value, self.target)


class _Document(BaseModel):
    """What is said of all models: each by itself, so that nonsense about one hides no other."""

    models: dict[str, Any]

    def entries(self) -> Iterator[tuple[str, _Entry]]:
        for name, told in self.models.items():
            with suppress(ValidationError):
                yield name, _Entry.model_validate(told)


@dataclass(frozen=True, slots=True)
class _Heard:
    """An entry, and when it was first heard by our own clock: others' clocks may be wrong.

    ``questioned`` is when KEDA was last heard to have asked about the model; at first, now.
    """

    entry: _Entry
    since: float
    questioned: float


@dataclass(slots=True)
class Decisions:
    """The newest decisions; ``url`` is where they are read, empty where nobody makes any."""

    url: str
    trouble: str = field(default="", init=False)
    """Why they could not be read the last time; empty when they were."""
    _heard: Mapping[str, _Heard] = field(default_factory=dict, init=False)
    _overruled: dict[Ref, tuple[Decision, float]] = field(default_factory=dict, init=False)
    _now: float = field(default=0.0, init=False)

    def of(self, ref: Ref) -> Decision | None:
        """Return how many replicas a model needs; None when nobody says so, or not lately."""
        entry = self._entry(ref)
        overruled, until = self._overruled.get(ref, (None, 0.0))
        if overruled and self._now < until and not (entry and entry.metric == "held"):
            return overruled
        return entry.decision() if entry else None

    def silent(self, ref: Ref) -> bool:
        """Tell whether a model is known to have no request, in flight or held."""
        entry = self._entry(ref)
        return entry is not None and entry.silent

    def questioned(self, ref: Ref, seconds: float) -> bool:
        """Tell whether KEDA may have asked about a model in the last so many seconds."""
        heard = self._heard.get(f"{ref.namespace}/{ref.name}")
        if heard is None or heard.entry.questions is None:
            return True
        return self._now - heard.questioned < seconds

    def overrule(self, ref: Ref, decision: Decision) -> None:
        """Have a decision of ours stand for a while, until the gateway has seen what came of it.

        A request that waits for the model ends that.
        """
        self._overruled[ref] = decision, self._now + STALE_SECONDS

    def _entry(self, ref: Ref) -> _Entry | None:
        heard = self._heard.get(f"{ref.namespace}/{ref.name}")
        fresh = heard and self._now - heard.since < STALE_SECONDS
        return heard.entry if heard and fresh else None

    def go_on(self, now: float) -> None:
        """Let time pass between two readings: what was heard grows old meanwhile."""
        self._now = now

    async def read(self, session: ClientSession, now: float) -> None:
        """Ask once; `now` is monotonic, in seconds. What cannot be read leaves what is known."""
        self._now = now
        try:
            told = _Document.model_validate_json(await _fetch(session, self.url))
        except (ClientError, OSError, TimeoutError, ValidationError) as error:
            self._complain(type(error).__name__)
            return
        self.trouble = ""
        self._heard = {name: self._hear(name, entry, now) for name, entry in told.entries()}

    def _hear(self, name: str, entry: _Entry, now: float) -> _Heard:
        before = self._heard.get(name)
        if before is None:
            return _Heard(entry, now, now)
        same, quiet = before.entry.at == entry.at, before.entry.questions == entry.questions
        return _Heard(entry, before.since if same else now, before.questioned if quiet else now)

    def _complain(self, trouble: str) -> None:
        if not self.trouble:
            log.warning("%s cannot be read (%s): replicas stay as they are", self.url, trouble)
        self.trouble = trouble


async def _fetch(session: ClientSession, url: str) -> bytes:
    async with session.get(url, timeout=TIMEOUT, raise_for_status=True) as answer:
        return await answer.read()
