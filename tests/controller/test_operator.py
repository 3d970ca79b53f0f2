"""The laws of the operator's parts put together, in virtual time on a fake API server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from controller.conftest import REF, World
from controller.virtual import run
from modelops.api.policies import POLICIES
from modelops.cluster import Answer, Cluster, plurals
from modelops.controller.metrics import Metrics
from modelops.controller.operator import Operator, assemble
from modelops.controller.settings import Settings

Result = TypeVar("Result")


def operate(
    world: World, scenario: Callable[[Operator], Awaitable[Result]]
) -> tuple[Result, Operator]:
    """Start an operator on a world, run the scenario, stop the operator."""

    async def whole() -> tuple[Result, Operator]:
        metrics = Metrics.create()
        cluster = Cluster(
            world.server, plurals({**world.catalogue.kinds, **POLICIES}), metrics.count_call
        )
        settings = Settings(identity="one", resync_seconds=300, stuck_seconds=60)
        operator = assemble(settings, world.catalogue, cluster, metrics)
        await operator.start()
        result = await scenario(operator)
        await operator.stop()
        return result, operator

    return run(whole())


def holder(world: World) -> str:
    """Return who holds the lease."""
    lease = world.server.find("leases", "modelops-system/modelops-operator")
    assert lease
    return str(lease["spec"]["holderIdentity"])


def test_an_object_that_no_event_told_of_is_found(world: World) -> None:
    """With all watches lost, an object is seen within the resync interval."""

    async def scenario(_: Operator) -> bool:
        await asyncio.sleep(10)
        world.model()
        await asyncio.sleep(100)
        early = "conditions" in world.status
        await asyncio.sleep(200)
        return early

    early, _ = operate(world, scenario)
    assert not early
    assert world.condition("Ready")["reason"] == "Pending"


def test_a_server_that_comes_back_is_used_at_once(world: World) -> None:
    """A minute without API server costs no more than the next short retry."""
    world.model()

    async def scenario(operator: Operator) -> bool:
        world.server.refusal = lambda request, _: (
            Answer(503, b"{}") if "leases" not in request else None
        )
        operator.queue.add(REF)
        await asyncio.sleep(60)
        world.server.refusal = lambda *_: None
        await asyncio.sleep(61)
        return "conditions" in world.status

    reported, _ = operate(world, scenario)
    assert reported


def test_a_stop_gives_the_lease_up(world: World) -> None:
    """After a graceful stop nobody holds the lease, and the operator has not failed."""

    async def scenario(_: Operator) -> str:
        await asyncio.sleep(1)
        return holder(world)

    during, operator = operate(world, scenario)
    assert during == "one"
    assert holder(world) == ""
    assert not operator.failed


def test_a_lost_leadership_stops_the_work(world: World) -> None:
    """When another has the lease, the operator takes no more work and asks to be stopped."""
    world.model()

    async def scenario(operator: Operator) -> int:
        await asyncio.sleep(10)
        world.server.edit(
            "leases",
            "modelops-system/modelops-operator",
            lambda m: m["spec"].update(holderIdentity="two"),
        )
        await operator.ended.wait()
        before = len(world.server.requests)
        operator.queue.add(REF)
        await asyncio.sleep(60)
        return len([r for r in world.server.requests[before:] if "textmodels" in r])

    later, operator = operate(world, scenario)
    assert later == 0
    assert operator.failed
    assert holder(world) == "two"


def test_a_stuck_pass_fails_the_probe(world: World) -> None:
    """The operator is well until a pass has run for longer than the limit."""
    world.model()
    answers = asyncio.Event()

    async def scenario(operator: Operator) -> tuple[str | None, str | None]:
        await asyncio.sleep(5)
        request = world.server.request

        async def hang(*given: object) -> Answer:
            if "deployments" in str(given[1]):
                await answers.wait()
            return await request(*given)  # type: ignore[arg-type]

        world.server.request = hang  # type: ignore[method-assign]
        operator.queue.add(REF)
        await asyncio.sleep(59)
        well = operator.trouble()
        await asyncio.sleep(2)
        ill = operator.trouble()
        answers.set()
        return well, ill

    (well, ill), _ = operate(world, scenario)
    assert well is None
    assert ill == "a pass has been running for 61 seconds"


def test_a_ticker_that_stops_fails_the_probe(world: World) -> None:
    """The operator is ill when its ticker has not ticked for an interval and the limit."""

    async def scenario(operator: Operator) -> tuple[str | None, str | None]:
        await asyncio.sleep(1)
        operator.ticker.every_seconds = 1
        well = operator.trouble()
        await asyncio.sleep(100)
        return well, operator.trouble()

    (well, ill), _ = operate(world, scenario)
    assert well is None
    assert ill == "no tick for 101 seconds"


def test_the_metrics_tell_what_happened(world: World) -> None:
    """Passes by outcome, calls, queue and leadership are counted."""
    world.model()

    async def scenario(operator: Operator) -> tuple[float | None, float | None, float | None]:
        await asyncio.sleep(1)
        read = operator.metrics.registry.get_sample_value
        passes = read("modelops_passes_total", {"kind": REF.kind, "outcome": "waiting"})
        status = {"verb": "patch", "resource": "textmodels/status", "code": "200"}
        return passes, read("modelops_api_calls_total", status), read("modelops_leader")

    (passes, calls, leader), operator = operate(world, scenario)
    assert (passes, calls, leader) == (1, 1, 1)
    assert operator.metrics.registry.get_sample_value("modelops_leader") == 0
