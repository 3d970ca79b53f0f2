"""Who is sent to zero for whom, what of that is told, and for how long."""

import asyncio
from typing import Any

import pytest

from controller.fake import FakeApiServer
from modelops.api.base import API_VERSION
from modelops.api.kinds import KINDS
from modelops.cluster import Cluster, Unreachable, plurals
from modelops.controller.decisions import Decisions
from modelops.controller.room import PATIENCE_SECONDS, Room
from modelops.controller.scaled import Scaled
from modelops.sync.catalogue import Platform
from modelops.sync.observed import Ref

GPU = "nvidia.com/gpu"
NEVER = {"priority": 10}
URGENT = {"priority": 10, "preemption": "IdleLowerPriority"}


class Quiet(Decisions):
    """Decisions of a gateway that has no request for these models."""

    def __init__(self, *names: str) -> None:
        super().__init__("")
        self.names = set(names)

    def silent(self, ref: Ref) -> bool:
        """Tell whether it is one of them."""
        return ref.name in self.names


class Story:
    """Models on a cluster that is short of GPUs, and who makes room on it."""

    def __init__(self, *idle: str) -> None:
        self.server, self.at = FakeApiServer(), 0.0
        self.cluster = Cluster(self.server, plurals(KINDS))
        self.looked: list[str] = []
        self.decisions = Quiet(*idle)
        self.room = Room(
            self.cluster, self.decisions, lambda ref: self.looked.append(ref.name), lambda: self.at
        )

    def have(self, name: str, ready: int = 1, *, waits: bool = False, **scaling: Any) -> None:
        """Have a model that takes a GPU; it may wait for one."""
        told = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
        pending = {"type": "Ready", "status": "False", "reason": "Unschedulable", "message": told}
        self.server.put(
            {
                "apiVersion": API_VERSION,
                "kind": "TextModel",
                "metadata": {"name": name, "namespace": "team"},
                "spec": {
                    "model": {"uri": "hf://owner/name"},
                    "resources": {"accelerator": {"count": 1, "resourceName": GPU}},
                    "scaling": {"minReplicas": 0, "maxReplicas": 4, "replicas": 1, **scaling},
                },
                "status": {"readyReplicas": ready, "conditions": [pending] if waits else []},
            },
            "textmodels",
        )

    async def make(self) -> None:
        """Make room once."""
        found = (
            self.server.find("textmodels", f"team/{name}") for name in ("low", "other", "high")
        )
        models = (Scaled.of(KINDS["TextModel"], Platform(), one) for one in found if one)
        await self.room.make([model for model in models if model])

    def asked(self, name: str) -> int:
        """Return how many replicas are asked for."""
        found = self.server.find("textmodels", f"team/{name}")
        assert found
        return int(found["spec"]["scaling"]["replicas"])

    def note(self, name: str) -> str:
        """Return what is told of a model."""
        return self.room.note(Ref(API_VERSION, "TextModel", "team", name))


def test_one_gives_way_and_both_tell_it() -> None:
    """The lower one is asked to rest; both are looked at, for their sentences."""

    async def story() -> None:
        told = Story("low")
        told.have("low")
        told.have("high", 0, waits=True, **URGENT)
        await told.make()
        assert told.asked("low") == 0
        assert "sent to zero for TextModel team/high" in told.note("low")
        assert told.note("high") == "TextModel team/low, which was idle, gives way to it"
        assert sorted(told.looked) == ["high", "low"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ({"ready": 0}, {"waits": True, **URGENT}),
        ({"minReplicas": 1}, {"waits": True, **URGENT}),
        ({"state": "Paused"}, {"waits": True, **URGENT}),
        ({"priority": 10}, {"waits": True, **URGENT}),
        ({}, {"waits": True, **NEVER}),
        ({}, URGENT),
    ],
    ids=["it holds nothing", "a minimum", "paused", "no lower", "never", "nobody waits"],
)
def test_nobody_goes_in_vain(low: dict[str, Any], high: dict[str, Any]) -> None:
    """A model that holds nothing or may not rest stays, and so does one that nobody needs."""

    async def story() -> None:
        told = Story("low")
        told.have("low", **low)
        told.have("high", 0, **high)
        await told.make()
        assert (told.asked("low"), told.looked) == (1, [])

    asyncio.run(story())


def test_a_busy_model_stays() -> None:
    """Whoever has a request, or of whom that is not known, is left alone."""

    async def story() -> None:
        told = Story()
        told.have("low")
        told.have("high", 0, waits=True, **URGENT)
        await told.make()
        assert told.asked("low") == 1

    asyncio.run(story())


def test_no_further_one_goes_until_the_first_had_its_time() -> None:
    """Pods take a while to go: others are sent after them only when that did not help."""

    async def story() -> None:
        told = Story("low", "other")
        told.have("low")
        told.have("other")
        told.have("high", 0, waits=True, **URGENT)
        await told.make()
        told.at = PATIENCE_SECONDS - 1
        await told.make()
        assert [told.asked("low"), told.asked("other")] == [0, 1]
        told.at = PATIENCE_SECONDS
        await told.make()
        assert [told.asked("low"), told.asked("other")] == [0, 0]

    asyncio.run(story())


def test_what_is_over_is_not_told_any_more() -> None:
    """Once the urgent one runs and the other is back, neither says anything of it."""

    async def story() -> None:
        told = Story("low")
        told.have("low")
        told.have("high", 0, waits=True, **URGENT)
        await told.make()
        told.have("low", replicas=1)
        told.have("high", 1, **URGENT)
        await told.make()
        assert (told.note("low"), told.note("high")) == ("", "")
        assert told.looked.count("low") == told.looked.count("high") == 2

    asyncio.run(story())


def test_an_api_server_that_is_away_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is said to have given way who was not asked to, and it is tried again."""

    async def story() -> None:
        told = Story("low")
        told.have("low")
        told.have("high", 0, waits=True, **URGENT)

        async def away(*_: Any) -> None:
            raise Unreachable("away")

        with monkeypatch.context() as patched:
            patched.setattr(Cluster, "scale", away)
            await told.make()
        assert (told.note("low"), told.looked) == ("", [])
        await told.make()
        assert told.asked("low") == 0

    asyncio.run(story())
