"""The decisions about all models that scale, and who waits for news of them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from modelops.gateway.demand.total import Found
from modelops.gateway.snapshot import Model
from modelops.scaling.decide import decide
from modelops.scaling.decision import Decision
from modelops.scaling.memory import Memory
from modelops.scaling.policy import Policy

STALE_SECONDS: Final = 15.0
"""A decision that is older tells nothing any more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision, when it was made (unix seconds), and what the next one must remember.

    ``silent`` tells that there was no request then: none in flight, none held. ``asked`` is how
    many replicas are asked for as yet, ``questions`` how often KEDA has asked about the model.
    """

    decision: Decision
    at: float
    memory: Memory
    silent: bool = False
    asked: int | None = None
    questions: int = 0

    @property
    def active(self) -> bool:
        """Whether KEDA shall keep from zero.

        What goes to zero goes to one before: a Kubernetes that takes replicas away down to one, as
        its HPA does, would write that again over KEDA's zero that came in between.
        """
        return self.decision.active or (self.asked or 0) > 1

    def document(self) -> dict[str, Any]:
        """Return what others are told."""
        made = self.decision
        return {
            "replicas": made.replicas,
            "active": made.active,
            "metric": made.metric,
            "value": made.value,
            "target": made.target,
            "sentence": made.sentence,
            "at": self.at,
            "silent": self.silent,
            "questions": self.questions,
        }


@dataclass(slots=True)
class Book:
    """Entries by NAMESPACE/NAME, of the models that scale and no other."""

    entries: dict[str, Entry] = field(default_factory=dict)
    scaled: frozenset[str] | None = None
    """The models that scale, decided about already or not; None while they are not known."""
    waiting: dict[str, set[asyncio.Event]] = field(default_factory=dict)
    questions: Counter[str] = field(default_factory=Counter)
    """How often KEDA has asked this pod, by the models' clusters."""

    def follow(self, models: Iterable[Model]) -> None:
        """Keep entries of these models only; who waits for news of another hears it is gone."""
        before, self.scaled = self.scaled, frozenset(model.address for model in models)
        self.entries = {name: e for name, e in self.entries.items() if name in self.scaled}
        for name in (before or frozenset()) - self.scaled:
            self.questions.pop(_cluster(name), None)
            self._tell(name)

    def question(self, name: str) -> None:
        """Count a question of KEDA's about a model that scales."""
        self.questions[_cluster(name)] += 1

    def decide(self, models: Iterable[Model], found: Found, at: float) -> None:
        """Decide about these models by what was found; `at` is in unix seconds."""
        for model in models:
            if model.policy is not None:
                self._decide(model, model.policy, found, at)

    def _decide(self, model: Model, policy: Policy, found: Found, at: float) -> None:
        name = model.address
        before = self.entries.get(name)
        memory = before.memory if before else Memory()
        reading = found.reading(model, at)
        decision, memory = decide(policy, memory, reading)
        questions = found.questions(model)
        now = self.entries[name] = Entry(
            decision, at, memory, reading.silent, model.asked, questions
        )
        if before is None or before.decision != decision or before.active is not now.active:
            _log(name, before, decision)
            self._tell(name)

    def fresh(self, name: str, now: float) -> Entry | None:
        """Return the entry of a model; None where there is none, or none that is true still."""
        entry = self.entries.get(name)
        return entry if entry and abs(now - entry.at) < STALE_SECONDS else None

    def document(self) -> Mapping[str, Any]:
        """Return all decisions as others are told them."""
        return {"models": {name: entry.document() for name, entry in self.entries.items()}}

    @contextmanager
    def news(self, name: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the decision about a model is another one."""
        event = asyncio.Event()
        self.waiting.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            self.waiting[name].discard(event)
            if not self.waiting[name]:
                del self.waiting[name]

    def _tell(self, name: str) -> None:
        for event in self.waiting.get(name, ()):
            event.set()


def _cluster(name: str) -> str:
    """Return what the cluster of a model is called that others name so."""
    return name.replace("/", ".", 1)


def _log(name: str, before: Entry | None, decision: Decision) -> None:
    if before is None or before.decision.replicas != decision.replicas:
        log.info("%s: %s", name, decision.sentence)
