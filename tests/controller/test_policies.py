"""The status of routes and tenants, kept by an operator on a fake API server."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from beside import beside
from gateway.cluster import WatchedApiServer, policy, text_model
from modelops.api import conditions as c
from modelops.api.group import EVERY_KIND
from modelops.api.kinds import KINDS
from modelops.cluster import Answer, Cluster, plurals
from modelops.controller.policies import Policies

SYSTEM = "modelops-system"


class Stage:
    """The passes over policies in front of a fake API server."""

    def __init__(self, *namespaces: str) -> None:
        """Follow these namespaces; none is everywhere."""
        self.server = WatchedApiServer()
        cluster = Cluster(self.server, plurals(EVERY_KIND))
        self.policies = Policies.of(cluster, KINDS, namespaces, SYSTEM, lambda: datetime.now(UTC))

    def ready(self, plural: str, place: str) -> dict[str, Any]:
        """Return the condition Ready of an object, empty when it has none."""
        return dict(c.find(self.server.find(plural, place) or {}, c.READY) or {})

    async def until(self, plural: str, place: str, reason: str) -> None:
        """Wait until an object has that reason."""
        async with asyncio.timeout(10):
            while self.ready(plural, place).get("reason") != reason:
                await self.server.tell()
                await asyncio.sleep(0.02)


def play(story: Callable[[Stage], Any], *namespaces: str) -> None:
    """Run a story beside the passes."""

    async def run() -> None:
        stage = Stage(*namespaces)
        async with beside(stage.policies.run()):
            await story(stage)

    asyncio.run(run())


ROUTE = policy("ModelRoute", "best", "team", {"targets": [{"model": "chat"}]})


def test_a_route_is_told_of_its_models_as_they_change() -> None:
    """Its status follows the model: absent, without replica, serving, gone again."""

    async def story(stage: Stage) -> None:
        await stage.server.have(ROUTE)
        await stage.until("modelroutes", "team/best", "UnknownTarget")
        await stage.server.have(text_model("chat"))
        await stage.until("modelroutes", "team/best", "NoReplicas")
        await stage.server.have(text_model("chat") | {"status": {"readyReplicas": 1}})
        await stage.until("modelroutes", "team/best", "Serving")
        gone = next(a for a in stage.server.objects if a[1] == "textmodels")
        del stage.server.objects[gone]
        await stage.until("modelroutes", "team/best", "UnknownTarget")

    play(story)


def test_a_tenant_is_told_where_it_counts() -> None:
    """In the platform's namespace it is in force, elsewhere it is told to move."""

    async def story(stage: Stage) -> None:
        await stage.server.have(policy("Tenant", "acme", SYSTEM, {}))
        await stage.server.have(policy("Tenant", "acme", "team", {}))
        await stage.until("tenants", f"{SYSTEM}/acme", "InForce")
        await stage.until("tenants", "team/acme", "WrongNamespace")

    play(story)


def test_an_operator_for_some_namespaces_sees_the_tenants_all_the_same() -> None:
    """It follows its namespaces and, for tenants, the platform's own; it lists no other."""

    async def story(stage: Stage) -> None:
        await stage.server.have(ROUTE, policy("Tenant", "acme", SYSTEM, {}))
        await stage.until("tenants", f"{SYSTEM}/acme", "InForce")
        await stage.until("modelroutes", "team/best", "UnknownTarget")
        asked = {r for r in stage.server.requests if r.startswith("GET")}
        assert all("/namespaces/team/" in r or f"/namespaces/{SYSTEM}/tenants" in r for r in asked)

    play(story, "team")


def test_what_has_not_changed_is_not_written() -> None:
    """A status is written once, however often its neighbours change."""

    async def story(stage: Stage) -> None:
        await stage.server.have(ROUTE, text_model("chat") | {"status": {"readyReplicas": 1}})
        await stage.until("modelroutes", "team/best", "Serving")
        await stage.server.have(policy("Tenant", "acme", SYSTEM, {}))
        await stage.until("tenants", f"{SYSTEM}/acme", "InForce")
        written = [r for r in stage.server.requests if r.startswith("PATCH")]
        assert len([r for r in written if "modelroutes/best/status" in r]) == 1

    play(story)


def test_a_status_that_cannot_be_written_is_written_later() -> None:
    """One object that the API server refuses holds no other up, and is tried again."""

    async def story(stage: Stage) -> None:
        stage.policies.retry_seconds = 0.05
        stage.server.refusal = lambda request, _: (
            Answer(500, b"{}") if "PATCH" in request and "modelroutes" in request else None
        )
        await stage.server.have(ROUTE, policy("Tenant", "acme", SYSTEM, {}))
        await stage.until("tenants", f"{SYSTEM}/acme", "InForce")
        assert not stage.ready("modelroutes", "team/best")
        stage.server.refusal = lambda *_: None
        await stage.until("modelroutes", "team/best", "UnknownTarget")

    play(story)
