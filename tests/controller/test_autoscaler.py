"""When the built-in scaler asks for replicas, and when it leaves that to others."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from prometheus_client import Gauge

from controller.fake import FakeApiServer
from modelops.api.base import API_VERSION
from modelops.api.kinds import KINDS
from modelops.cluster import Cluster, plurals
from modelops.controller import autoscaler
from modelops.controller.autoscaler import SETTLE_SECONDS, Autoscaler, followed
from modelops.controller.decisions import STALE_SECONDS, Decisions
from modelops.controller.keda import DEAF_SECONDS, SICK_SECONDS, Keda, Told
from modelops.controller.room import Room
from modelops.scaling.decision import Decision
from modelops.sync.catalogue import Catalogue
from modelops.sync.observed import Ref

REF = Ref(API_VERSION, "TextModel", "team", "chat")


class Story:
    """A model that scales, what its gateway decides, and turns of the scaler."""

    def __init__(self, asked: int, **scaled: Any) -> None:
        self.server = FakeApiServer()
        scaling = {"minReplicas": 0, "maxReplicas": 4, "replicas": asked, **scaled}
        model = {
            "apiVersion": API_VERSION,
            "kind": "TextModel",
            "metadata": {"name": "chat", "namespace": "team"},
            "spec": {"model": {"uri": "hf://owner/name"}, "scaling": scaling},
        }
        self.server.put(model, "textmodels")
        cluster, decisions = Cluster(self.server, plurals(KINDS)), Decisions("")
        self.looked: list[Ref] = []
        room = Room(cluster, decisions, self.looked.append)
        kinds = {REF.kind: KINDS[REF.kind]}
        models = followed(cluster, Catalogue(kinds=kinds), ())
        undecided = Gauge("undecided", "test", registry=None)
        keda = Keda.followed(cluster, (), decisions)
        self.scaler = Autoscaler(
            cluster, models, decisions, keda, room, self.looked.append, undecided
        )
        self.scaled()

    def scaled(self, *names: str, sick: str = "") -> None:
        """Have these models have a ScaledObject, whose autoscaler may have no metrics."""
        (copy,) = self.scaler.keda.copies
        copy.objects = {("team", name): Told(sick=sick) for name in names}
        copy.complete = True

    async def hear(self, replicas: int, questions: int, now: float) -> None:
        """Have the gateway say what it decides, and how often KEDA has asked it by then."""
        entry = {"replicas": replicas, "metric": "concurrency", "sentence": "", "at": now}
        told = {"models": {"team/chat": {**entry, "questions": questions}}}
        app = web.Application()

        async def page(_: web.Request) -> web.Response:
            return web.json_response(told)

        app.add_routes([web.get("/", page)])
        async with TestServer(app) as server, ClientSession() as session:
            self.scaler.decisions.url = str(server.make_url("/"))
            await self.scaler.decisions.read(session, now)

    def ask(self, replicas: int) -> None:
        """Have somebody else ask."""
        self.server.edit(
            "textmodels", "team/chat", lambda m: m["spec"]["scaling"].update(replicas=replicas)
        )

    async def turn(self, replicas: int, metric: str = "concurrency") -> int:
        """Have the gateway decide and the scaler take a turn; return what is asked for then."""
        self.pass_on()
        self.decide(replicas, metric)
        return await self.go()

    async def long_seen(self) -> None:
        """Let the scaler have seen the model for so long that what was asked for has settled."""
        loop = asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patch:
            earlier = loop.time() - SETTLE_SECONDS
            patch.setattr(loop, "time", lambda: earlier)
            await self.go()

    def pass_on(self) -> None:
        """Let time have passed until now."""
        self.scaler.decisions.go_on(asyncio.get_running_loop().time())

    def decide(self, replicas: int, metric: str) -> None:
        """Have the gateway decide."""
        self.scaler.decisions.overrule(REF, Decision(replicas, metric, "as the test says"))

    async def go(self) -> int:
        """Have the scaler take a turn; return what is asked for then."""
        stored = self.server.find("textmodels", "team/chat")
        assert stored
        (reflector,) = self.scaler.models
        reflector.objects[REF.namespace, REF.name] = reflector.keep(stored)
        await self.scaler.turn()
        after: dict[str, Any] = self.server.find("textmodels", "team/chat") or {}
        return int(after["spec"]["scaling"]["replicas"])


def test_decisions_are_followed_at_once() -> None:
    """One turn after the other: what the scaler itself asked for holds up nothing."""

    async def story() -> list[int]:
        told = Story(1)
        await told.long_seen()
        return [await told.turn(n) for n in (1, 2, 4, 3, 0)]

    assert asyncio.run(story()) == [1, 2, 4, 3, 0]


@pytest.mark.parametrize(("before", "asked"), [(1, 0), (0, 1)], ids=["to zero", "from zero"])
def test_what_a_person_asks_for_stands_until_the_gateway_knows(
    monkeypatch: pytest.MonkeyPatch, before: int, asked: int
) -> None:
    """A decision that is older than the ask undoes nothing; a newer one is followed in the end."""

    async def story() -> None:
        told = Story(before)
        assert await told.turn(before) == before
        told.ask(asked)
        assert await told.turn(before) == asked
        assert await told.turn(before) == asked
        monkeypatch.setattr(autoscaler, "SETTLE_SECONDS", 0.0)
        assert await told.turn(before) == before

    asyncio.run(story())


@pytest.mark.parametrize("asked", [0, 2])
def test_what_was_asked_for_before_the_scaler_looked_stands_as_long(
    monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    """A model that has just begun to scale: the decision may be older than what a person wrote."""

    async def story() -> None:
        told = Story(asked)
        assert await told.turn(1) == asked
        monkeypatch.setattr(autoscaler, "SETTLE_SECONDS", 0.0)
        assert await told.turn(1) == 1

    asyncio.run(story())


def test_a_request_that_waits_is_followed_whoever_asked() -> None:
    """Who asks for zero does not know who waits."""

    async def story() -> int:
        told = Story(1)
        await told.turn(1)
        told.ask(0)
        return await told.turn(1, "held")

    assert asyncio.run(story()) == 1


def test_who_asks_for_what_the_scaler_once_asked_for_is_somebody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wake that follows a rest is not taken for our own ask of long ago."""

    async def story() -> list[int]:
        told, loop = Story(2), asyncio.get_running_loop()
        await told.long_seen()
        found = [await told.turn(1)]
        told.ask(0)
        found.append(await told.turn(1))
        later = loop.time() + SETTLE_SECONDS
        monkeypatch.setattr(loop, "time", lambda: later)
        told.ask(1)
        return [*found, await told.turn(0)]

    assert asyncio.run(story()) == [1, 0, 1]


def test_a_decision_that_grew_old_in_a_long_turn_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An API server that hangs at one model does not send the next to zero by old news."""

    async def story() -> int:
        told, loop = Story(1), asyncio.get_running_loop()
        told.pass_on()
        told.decide(0, "idle")
        late = loop.time() + STALE_SECONDS
        monkeypatch.setattr(loop, "time", lambda: late)
        return await told.go()

    assert asyncio.run(story()) == 1


def test_where_there_is_a_scaled_object_the_scaler_asks_for_nothing() -> None:
    """KEDA scales that model, or may: before ScaledObjects are known nothing is asked for."""

    async def story() -> list[int]:
        told = Story(1)
        await told.long_seen()
        told.scaled("chat")
        found = [await told.turn(3)]
        told.scaled("other")
        told.scaler.keda.copies[0].complete = False
        found.append(await told.turn(3))
        told.scaler.keda.copies[0].complete = True
        return [*found, await told.turn(3)]

    assert asyncio.run(story()) == [1, 1, 3]


def test_a_keda_that_does_not_ask_is_helped_and_one_that_asks_again_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A KEDA that is installed and dead is known by its silence towards the gateway."""

    async def story() -> tuple[list[int], list[Ref]]:
        told, loop = Story(1), asyncio.get_running_loop()
        told.scaled("chat")
        began, found = loop.time(), []
        for after, questions, replicas in (
            (0.0, 7, 2),
            (DEAF_SECONDS - 1, 8, 2),
            (2 * DEAF_SECONDS - 2, 8, 2),
            (2 * DEAF_SECONDS, 8, 2),
            (2 * DEAF_SECONDS + 2, 9, 3),
        ):
            monkeypatch.setattr(loop, "time", lambda now=began + after: now)
            await told.hear(replicas, questions, began + after)
            found.append(await told.go())
        return found, told.looked

    found, looked = asyncio.run(story())
    assert found == [1, 1, 1, 2, 2]
    assert looked == [REF] * 3  # KEDA's, ours, KEDA's again


def test_who_scales_is_told_as_it_is_done() -> None:
    """Before a ScaledObject is seen the scaler asks, and the condition says that it does."""

    async def story() -> list[str]:
        keda = Story(1).scaler.keda
        found = [keda.trouble(REF)]
        keda.copies[0].complete = False
        return [*found, keda.trouble(REF)]

    assert asyncio.run(story()) == ["KEDA does not have its ScaledObject yet", ""]


def test_where_triggers_are_not_read_nothing_is_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a dead KEDA does not tell may want replicas: there may be more, and never fewer."""
    query = {"serverAddress": "http://p:9090", "query": "q", "threshold": 1}

    async def story() -> list[int]:
        told, loop = Story(2, triggers=[{"prometheus": query}]), asyncio.get_running_loop()
        told.scaled("chat")
        began, found = loop.time(), []
        for after, replicas in ((0.0, 0), (DEAF_SECONDS, 0), (DEAF_SECONDS + 2, 3)):
            monkeypatch.setattr(loop, "time", lambda now=began + after: now)
            await told.hear(replicas, 7, began + after)
            found.append(await told.go())
        told.scaled()  # KEDA is removed: the triggers with it
        await told.hear(0, 7, began + DEAF_SECONDS + 3)
        return [*found, await told.go()]

    assert asyncio.run(story()) == [2, 2, 3, 0]


def test_an_autoscaler_of_keda_without_metrics_is_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    """KEDA's operator may work while its metrics do not reach the cluster's autoscaler."""

    async def story() -> list[int]:
        told, loop = Story(1), asyncio.get_running_loop()
        told.scaled("chat", sick="unable to get external metric")
        began, found = loop.time(), []
        for turn, after in enumerate((0.0, SICK_SECONDS - 1, SICK_SECONDS + 1)):
            monkeypatch.setattr(loop, "time", lambda now=began + after: now)
            await told.hear(3, turn, began + after)
            found.append(await told.go())
        told.scaled("chat")
        await told.hear(4, 9, began + SICK_SECONDS + 2)
        return [*found, await told.go()]

    assert asyncio.run(story()) == [1, 1, 3, 3]


def test_what_keda_says_is_kept() -> None:
    """What is kept of a ScaledObject changes with its conditions, whatever they hold."""
    ready = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "m"}
    sick = {"type": "HPAActive", "status": "False", "message": "no metric"}
    assert Told.of({}) == Told.of({"status": {"conditions": None}}) == Told()
    assert Told.of({"status": {"conditions": [ready]}}) != Told()
    assert Told.of({"status": {"conditions": [ready, sick]}}).sick == "no metric"
