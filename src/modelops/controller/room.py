"""Room for models of high priority: idle ones of lower priority are sent to zero."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from modelops.cluster import Cluster, ClusterError
from modelops.controller.decisions import Decisions
from modelops.controller.scaled import Scaled
from modelops.scaling.decision import Decision
from modelops.sync.desired import ASKER
from modelops.sync.observed import Ref
from modelops.sync.preemption import Contender, giving_way

PATIENCE_SECONDS: Final = 120.0
"""How long the pods of those who gave way may take to go, before others are sent after them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Note:
    text: str
    since: float


@dataclass(slots=True)
class Room:
    """Makes room, and remembers for whom: ``look`` has a model's status tell it."""

    cluster: Cluster
    decisions: Decisions
    look: Callable[[Ref], None]
    now: Callable[[], float] = time.time
    _notes: dict[Ref, _Note] = field(default_factory=dict, init=False)

    def note(self, ref: Ref) -> str:
        """Return whom a model gave way to, or who gave way to it; empty most often."""
        return self._notes[ref].text if ref in self._notes else ""

    async def make(self, models: Sequence[Scaled]) -> None:
        """Send idle models to zero for those that no node has room for."""
        now, silent = self.now(), self.decisions.silent
        contenders = {m.ref: m.contender(now, silent=silent(m.ref)) for m in models}
        self._forget(contenders, now)
        waiting = [one for one in contenders.values() if one.waits and one.ref not in self._notes]
        for one in sorted(waiting, key=lambda one: (-one.priority, one.name)):
            for other in giving_way(one, contenders.values()):
                del contenders[other.ref]
                await self._send_to_rest(other, one)

    async def _send_to_rest(self, other: Contender, waiting: Contender) -> None:
        told = (
            f"sent to zero for {waiting.name}, which has priority {waiting.priority} over "
            f"{other.priority} and found no free {other.resource_name}"
        )
        self.decisions.overrule(other.ref, Decision(0, "preemption", told))
        try:
            await self.cluster.scale(other.ref, other.replicas, 0, ASKER)
        except ClusterError as error:
            log.warning("%s cannot be sent to zero: %s", other.name, error)
            return
        log.info("%s is %s", other.name, told)
        self._tell(other.ref, told)
        self._tell(waiting.ref, f"{other.name}, which was idle, gives way to it")

    def _tell(self, ref: Ref, text: str) -> None:
        self._notes[ref] = _Note(text, self.now())
        self.look(ref)

    def _forget(self, contenders: Mapping[Ref, Contender], now: float) -> None:
        """Forget what is not true any more, or did not help for long enough."""
        for ref, note in tuple(self._notes.items()):
            one = contenders.get(ref)
            resting = one is not None and not one.replicas
            waiting = one is not None and one.waits and now - note.since < PATIENCE_SECONDS
            if not (resting or waiting):
                del self._notes[ref]
                self.look(ref)
