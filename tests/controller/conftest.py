"""A fake cluster, a catalogue and a loop over both."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.fake import FakeApiServer
from modelops.api.base import API_VERSION
from modelops.cluster import Cluster, ClusterError, plurals
from modelops.controller.loop import Loop
from modelops.sync.catalogue import Catalogue, Platform
from modelops.sync.observed import Ref

CATALOGUE = Catalogue(platform=Platform(images={"modelops": "modelops:1", "vllm-cpu": "vllm:1"}))
REF = Ref(API_VERSION, "TextModel", "team", "chat")


@dataclass
class Clock:
    """A clock that moves by a second whenever it is read."""

    time: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        """Return the time."""
        self.time += timedelta(seconds=1)
        return self.time


@dataclass
class World:
    """A fake cluster with one TextModel, and the loop that looks after it."""

    server: FakeApiServer = field(default_factory=FakeApiServer)
    catalogue: Catalogue = CATALOGUE
    clock: Clock = field(default_factory=Clock)

    def loop(self) -> Loop:
        """Return a fresh loop, as a restarted operator has it."""
        cluster = Cluster(self.server, plurals(self.catalogue.kinds))
        return Loop(cluster, self.catalogue, now=self.clock)

    def model(self, **spec: Any) -> dict[str, Any]:
        """Have the TextModel in the cluster, with more in its spec."""
        given = {"model": {"uri": "hf://owner/name"}, **spec}
        manifest = {
            "apiVersion": API_VERSION,
            "kind": REF.kind,
            "metadata": {"name": REF.name, "namespace": REF.namespace},
            "spec": given,
        }
        return self.server.put(manifest, "textmodels")

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change the TextModel as its author would."""

        def generation_too(manifest: dict[str, Any]) -> None:
            edit(manifest)
            manifest["metadata"]["generation"] += 1

        self.server.edit("textmodels", f"{REF.namespace}/{REF.name}", generation_too)

    def run(self, times: int = 1) -> float | None:
        """Do passes; return what the last one asks for."""
        delays = [asyncio.run(self.loop().run(REF)) for _ in range(times)]
        return delays[-1]

    def try_run(self) -> ClusterError | None:
        """Do a pass that may fail; return the error."""
        try:
            self.run()
        except ClusterError as error:
            return error
        return None

    def child(self, plural: str, suffix: str = "") -> dict[str, Any] | None:
        """Return a child of the TextModel."""
        return self.server.find(plural, f"{REF.namespace}/{REF.name}{suffix}")

    @property
    def status(self) -> dict[str, Any]:
        """The TextModel's status."""
        found = self.server.find("textmodels", f"{REF.namespace}/{REF.name}")
        assert found
        status: dict[str, Any] = found.get("status", {})
        return status

    def condition(self, kind: str) -> dict[str, Any]:
        """Return one condition of the TextModel."""
        return next(c for c in self.status["conditions"] if c["type"] == kind)

    @property
    def events(self) -> list[tuple[str, str]]:
        """The Events: type and reason, in order."""
        stored = [s.manifest for (_, p, _), s in self.server.objects.items() if p == "events"]
        return [(event["type"], event["reason"]) for event in stored]


@pytest.fixture
def world() -> World:
    """Return a fake cluster without objects."""
    return World()
