"""Fair turns before a saturated model."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import grpc
import grpc.aio
import pytest
from envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest, RateLimitResponse
from hypothesis import given
from hypothesis import strategies as st

from modelops.gateway import capacity
from modelops.gateway.limiter.gate import CALM_READINGS, FEWEST_WAITING, LOST_READINGS, Gate
from modelops.gateway.limiter.gates import Gates, gate_of
from modelops.gateway.limiter.limits import Book, Caller
from modelops.gateway.limiter.queue import WEIGHTS, FairQueue, Ticket
from modelops.gateway.limiter.service import SERVICE, Limiter
from modelops.gateway.limiter.shared import Shared
from modelops.gateway.limiter.turnstile import Turnstile
from modelops.gateway.loads import parse
from modelops.gateway.metrics import Metrics
from modelops.gateway.snapshot import Endpoint, Model, Snapshot, Tenant

FLOWS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(sorted(WEIGHTS.values()))),
    min_size=1,
    max_size=5,
    unique=True,
)


def filled(flows: Sequence[tuple[str, int]], each: int) -> FairQueue:
    """Return a queue in which so many of each flow stand in line."""
    queue = FairQueue()
    for tenant, weight in flows:
        for number in range(each):
            queue.push(Ticket(f"{tenant}-{weight}-{number}", tenant, weight))
    return queue


@given(FLOWS, st.integers(1, 60))
def test_turns_are_shared_by_weight(flows: list[tuple[str, int]], turns: int) -> None:
    """While all wait, none is more than two turns away from its share."""
    queue = filled(flows, 100)
    had = Counter(queue.pop().flow for _ in range(turns))
    whole = sum(weight for _, weight in flows)
    for flow in flows:
        assert abs(had[flow] - turns * flow[1] / whole) <= 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from((1, 2, 4))), max_size=30))
def test_everyone_gets_a_turn_and_each_flow_in_its_order(arrivals: list[tuple[str, int]]) -> None:
    """Nobody is lost or taken twice, and within a flow the first that came goes first."""
    queue = FairQueue()
    for number, (tenant, weight) in enumerate(arrivals):
        queue.push(Ticket(str(number), tenant, weight))
    went = [queue.pop() for _ in range(len(queue))]
    assert sorted(int(t.lease) for t in went) == list(range(len(arrivals)))
    for flow in set(arrivals):
        mine = [int(t.lease) for t in went if t.flow == flow]
        assert mine == sorted(mine)
    assert not queue
    queue.remove("0")


@given(st.integers(1, 50))
def test_waiting_saves_up_no_turns(alone: int) -> None:
    """Who comes after another has been served for long takes turns with it from then on."""
    queue = filled([("old", 2)], alone + 20)
    for _ in range(alone):
        queue.pop()
    for number in range(20):
        queue.push(Ticket(f"new-{number}", "new", 2))
    had = Counter(queue.pop().tenant for _ in range(20))
    assert abs(had["old"] - had["new"]) <= 2


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from("ab"), st.integers(0, 30)),
        st.tuples(st.just("go"), st.just(""), st.integers(0, 30)),
        st.tuples(st.just("measure"), st.just(""), st.integers(0, 12)),
    ),
    max_size=60,
)


@given(st.integers(1, 6), STEPS)
def test_no_more_run_than_there_is_room_for(room: int, steps: list[tuple[str, str, int]]) -> None:
    """However they come and go, also twice, no place is given twice and none stays empty."""
    gate = Gate(room)
    for what, tenant, number in steps:
        before = gate.running
        if what == "come":
            gate.arrive(Ticket(str(number), tenant, 2))
            gate.queue.remove(str(number)) if str(number) in gate.held else None
        elif what == "go":
            gate.leave(str(number))
        else:
            gate.measure(number, room)
        gate.admit()
        assert gate.running <= max(room, before, len(gate.held) + gate.others * (what == "measure"))
        assert not gate.queue or gate.running >= room
        assert len(gate.queue) <= max(FEWEST_WAITING, 2 * room)


def test_a_flood_does_not_keep_others_out() -> None:
    """Where no more may wait, the last of whoever has most in line goes for one who has less."""
    gate = Gate(1)
    assert gate.arrive(Ticket("first", "flood", 2)).passes
    waits = [gate.arrive(Ticket(f"f{n}", "flood", 2)).waits for n in range(FEWEST_WAITING)]
    assert all(waits)
    assert not any(gate.arrive(Ticket("more", "flood", 2))[:2])
    arrival = gate.arrive(Ticket("small", "small", 2))
    assert arrival.waits
    assert arrival.away == Ticket(f"f{FEWEST_WAITING - 1}", "flood", 2)


def test_a_gate_goes_when_it_is_calm_and_forgets_what_envoy_lost() -> None:
    """Leases that Envoy has no request for are given back, and a quiet gate is not needed."""
    gate = Gate(2)
    assert gate.arrive(Ticket("lost", "t", 2)).passes
    for _ in range(LOST_READINGS):
        gate.measure(0, 2)
    assert not gate.running
    for _ in range(CALM_READINGS):
        assert gate.needed or gate.calm >= CALM_READINGS
        gate.measure(0, 2)
    assert not gate.needed


def test_who_waits_is_let_in_refused_or_gone() -> None:
    """A turn comes, does not come in time, or is not wanted any more; no place is lost."""

    async def story() -> None:
        turnstile = Turnstile(Gate(1), seconds=0.05)
        assert await turnstile.enter(Ticket("one", "t", 2))
        assert not await turnstile.enter(Ticket("late", "t", 2))
        turnstile.seconds = 30
        gone = asyncio.create_task(turnstile.enter(Ticket("gone", "t", 2)))
        next_ = asyncio.create_task(turnstile.enter(Ticket("next", "t", 2)))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        turnstile.leave("one")
        turnstile.leave("one")
        assert await next_
        assert not turnstile.waiting
        assert list(turnstile.gate.held) == ["next"]

    asyncio.run(story())


def test_gates_stand_before_saturated_models_only() -> None:
    """A gate comes with the load and goes with it, or with the model's replicas."""

    async def story() -> None:
        gates, rooms = Gates(), {"a": 4, "b": 4}
        gates.measure({"a": 4, "b": 3, "c": 1000}, lambda c: rooms.get(c, 0))
        assert gates.busy == {"a"}
        assert await gates.enter("b", Ticket("x", "t", 2))
        waits = asyncio.create_task(gates.enter("a", Ticket("y", "t", 2)))
        await asyncio.sleep(0)
        assert not waits.done()
        rooms["a"] = 0
        gates.measure({"a": 4}, lambda c: rooms.get(c, 0))
        assert await waits
        assert not gates.busy

    asyncio.run(story())


def test_a_pods_room_is_its_part_of_all_replicas() -> None:
    """Capacity times replicas over pods, rounded up; without replicas there is no gate."""
    two = (Endpoint("a", 1), Endpoint("b", 1))
    models = (Model("m", "n", "m", endpoints=two, capacity=3), Model("o", "n", "o", endpoints=two))
    book = Book.of(Snapshot(models=models), 0, 16)
    assert [book.room(c, 4) for c in ("n.m", "n.o", "n.none")] == [2, 8, 0]
    assert Book.of(Snapshot(models=models), 0, 0).room("n.o", 1) == 0
    assert gate_of("n.group/m") == "n.m"
    assert gate_of("n.m") == "n.m"


def test_a_key_has_its_own_priority_or_its_tenants() -> None:
    """The key's claim wins; who says nothing is standard."""
    book = Book.of(Snapshot(tenants=(Tenant("low", priority="Low"),)), 0, 0)
    said = [("low", ""), ("low", "high"), ("other", ""), ("other", "none")]
    assert [book.weight(Caller(tenant=t, priority=p)) for t, p in said] == [1, 4, 2, 2]


@pytest.mark.parametrize("failure", ["Open", "Closed"])
def test_nobody_passes_unknown_limits_where_that_is_wanted(failure: str) -> None:
    """A process that knows no tenant yet refuses, or lets pass, as it does without Redis."""
    metrics = Metrics.create()
    counts = Shared(None, "pod", metrics.redis_up, open_=failure == "Open")
    limiter = Limiter(counts, metrics.questions, "http://127.0.0.1:1")

    async def code() -> object:
        async with limiter.serve(0) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as way:
            ask = way.unary_unary(
                f"/{SERVICE}/ShouldRateLimit",
                RateLimitRequest.SerializeToString,
                RateLimitResponse.FromString,
            )
            call = ask(RateLimitRequest())
            return await call.code()

    ok, away = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
    assert asyncio.run(code()) == (ok if failure == "Open" else away)
    limiter.follow(Snapshot())
    assert asyncio.run(code()) == ok


@pytest.mark.parametrize(
    ("args", "number"),
    [
        ([], None),
        (["--max-num-seqs=8"], 8),
        (["--max_num_seqs=8", "--max-num-seqs=16"], 16),
        (["--max-num-seqs=0"], None),
        (["--max-num-seqs=many", "--x=1"], None),
    ],
)
def test_a_replicas_capacity_is_what_its_engine_is_told(args: list[str], number: int) -> None:
    """The last word counts, as it does for vLLM; what is no number says nothing."""
    assert capacity.said(args) == number


def test_loads_are_read_by_cluster() -> None:
    """Whatever else Envoy tells is left out."""
    text = "cluster.team.chat.upstream_rq_active: 3\ncluster.admin.upstream_rq_active: 1\nx: 2\n"
    assert parse(text).active == {"team.chat": 3, "admin": 1}
