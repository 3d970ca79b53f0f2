"""The laws of leader election, in virtual time on a fake API server."""

import asyncio
import json

from controller.fake import FakeApiServer
from controller.virtual import run
from modelops.cluster import Answer, Cluster
from modelops.controller.election import Election

SECONDS = 10.0


def candidate(server: FakeApiServer, name: str) -> Election:
    """Return a candidate for the one lease."""
    return Election(Cluster(server), "system", "operator", name, SECONDS)


def holder(server: FakeApiServer) -> str:
    """Return who holds the lease."""
    lease = server.find("leases", "system/operator")
    assert lease
    return str(lease["spec"]["holderIdentity"])


def test_there_is_one_leader() -> None:
    """Of two candidates one leads, and the other waits for as long as the lease is renewed."""
    server = FakeApiServer()

    async def scenario() -> bool:
        first, second = candidate(server, "first"), candidate(server, "second")
        await first.acquire()
        holding = asyncio.create_task(first.hold())
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(SECONDS * 20)
        result = waiting.done()
        for task in (holding, waiting):
            task.cancel()
        return result

    assert run(scenario()) is False
    assert holder(server) == "first"


def test_a_dead_leader_is_succeeded() -> None:
    """A lease that is not renewed is taken over, not before it has ended."""
    server = FakeApiServer()

    async def scenario() -> float:
        await candidate(server, "first").acquire()
        await candidate(server, "second").acquire()
        return asyncio.get_running_loop().time()

    assert SECONDS <= run(scenario()) <= SECONDS * 1.5
    assert holder(server) == "second"


def test_a_lease_given_up_is_free_at_once() -> None:
    """After a graceful stop the successor waits for no more than one look."""
    server = FakeApiServer()

    async def scenario() -> float:
        first = candidate(server, "first")
        await first.acquire()
        await first.release()
        await candidate(server, "second").acquire()
        return asyncio.get_running_loop().time()

    assert run(scenario()) == 0
    assert holder(server) == "second"


def test_a_restarted_container_leads_at_once() -> None:
    """The same identity takes its own lease back without waiting."""
    server = FakeApiServer()

    async def scenario() -> float:
        await candidate(server, "pod").acquire()
        await candidate(server, "pod").acquire()
        return asyncio.get_running_loop().time()

    assert run(scenario()) == 0


def test_a_leader_that_cannot_renew_steps_down_before_the_lease_ends() -> None:
    """A leader that the API server does not hear acts no longer than its lease lasts."""
    server = FakeApiServer()

    async def scenario() -> float:
        first = candidate(server, "first")
        await first.acquire()
        server.down = True
        await first.hold()
        return asyncio.get_running_loop().time()

    assert run(scenario()) < SECONDS


def test_a_leader_that_was_replaced_steps_down() -> None:
    """A leader that finds another's name in the lease stops at its next look."""
    server = FakeApiServer()

    async def scenario() -> float:
        first = candidate(server, "first")
        await first.acquire()
        server.edit(
            "leases", "system/operator", lambda m: m["spec"].update(holderIdentity="second")
        )
        await first.hold()
        return asyncio.get_running_loop().time()

    assert run(scenario()) <= SECONDS / 4


def test_a_hiccup_costs_no_leadership() -> None:
    """A single request that fails is made up for by the next."""
    server = FakeApiServer()

    async def scenario() -> bool:
        first = candidate(server, "first")
        await first.acquire()
        holding = asyncio.create_task(first.hold())
        server.down = True
        await asyncio.sleep(first.pause * 1.5)
        server.down = False
        await asyncio.sleep(SECONDS * 5)
        held = not holding.done()
        holding.cancel()
        return held

    assert run(scenario())


def test_two_that_take_at_once_cannot_both_succeed() -> None:
    """A lease that changed between look and write is not taken."""
    server = FakeApiServer()

    def rival(request: str, _: object) -> Answer | None:
        if request.startswith("PUT"):
            server.refusal = lambda *_: None
            server.edit(
                "leases", "system/operator", lambda m: m["spec"].update(holderIdentity="rival")
            )
            return Answer(409, json.dumps({"message": "the object has been modified"}).encode())
        return None

    async def scenario() -> str:
        first = candidate(server, "first")
        await first.acquire()
        await first.release()
        server.refusal = rival
        taking = asyncio.create_task(candidate(server, "second").acquire())
        await asyncio.sleep(SECONDS / 2)
        taking.cancel()
        return holder(server)

    assert run(scenario()) == "rival"
