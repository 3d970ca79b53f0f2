"""How requests are counted: in memory, and the same in a real Redis."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Gauge
from redis import Redis
from redis.asyncio import Redis as PatientRedis

from gateway import redisd
from modelops.gateway.limiter import answers
from modelops.gateway.limiter.ledger import LEASE_MS, Ledger, Taken
from modelops.gateway.limiter.limits import Book, Caller, Limit
from modelops.gateway.limiter.shared import Shared
from modelops.gateway.limiter.window import LONGEST_MS, SLOT_MS, SLOTS, WINDOW_MS, Window
from modelops.gateway.quota import EXACT, share
from modelops.gateway.snapshot import Snapshot, Tenant

WHATS = st.sampled_from(("requests", "tokens", "parallel"))
LIMITS = st.builds(
    Limit,
    WHATS,
    st.sampled_from(("key", "tenant")),
    st.sampled_from("ab"),
    st.integers(1, 5),
    st.sampled_from((0, 2)),
)
STEPS = st.lists(
    st.tuples(
        st.lists(LIMITS, max_size=4, unique_by=lambda limit: limit.address),
        st.sampled_from(("one", "two")),
        st.sampled_from("xyz"),
        st.booleans(),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redisd.Server]:
    """A real Redis."""
    with redisd.server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def outcome(taken: Taken) -> tuple[bool, list[int]]:
    """Return what does not depend on the clock."""
    return taken.passes, [s.used for s in taken.standings]


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_redis_counts_as_memory_does(
    store: redisd.Server, steps: Sequence[tuple[list[Limit], str, str, bool]]
) -> None:
    """Whatever requests come and end, through whichever pods, both decide alike."""

    async def story() -> None:
        ledger, pods = Ledger(), {}
        async with PatientRedis.from_url(store.url) as redis:
            await redis.flushall()
            for limits, pod, lease, ends in steps:
                shared = pods.setdefault(pod, Shared(redis, pod, Gauge("up", "", registry=None)))
                expected = ledger.take(limits, pod, lease, 0)
                assert outcome(await shared.take(limits, lease)) == outcome(expected)
                if ends:
                    addresses = [limit.address for limit in limits]
                    held = [a for a in addresses if ":parallel:" in a]
                    ledger.release(held, lease)
                    await shared.release(held, lease)

    asyncio.run(story())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(LIMITS, st.integers(1, 3), max_size=3), max_size=6))
def test_redis_adds_tokens_as_memory_does(
    store: redisd.Server, steps: Sequence[dict[Limit, int]]
) -> None:
    """Both know alike whose tokens are used up."""

    async def story() -> None:
        ledger = Ledger()
        async with PatientRedis.from_url(store.url) as redis:
            await redis.flushall()
            shared = Shared(redis, "pod", Gauge("up", "", registry=None))
            for step in steps:
                amounts = {replace(limit, what="tokens"): n for limit, n in step.items()}
                assert await shared.add(amounts) == ledger.add(amounts, 0)

    asyncio.run(story())


def test_everything_in_redis_ends_by_itself(store: redisd.Server) -> None:
    """No count stays for good, whatever becomes of the gateway."""

    async def story() -> None:
        limits = [Limit("requests", "key", "k", 1000, 50), Limit("parallel", "key", "k", 5)]
        async with PatientRedis.from_url(store.url) as redis:
            await redis.flushall()
            shared = Shared(redis, "pod", Gauge("up", "", registry=None))
            await shared.take(limits, "lease")
            await shared.add({Limit("tokens", "key", "k", 1): 2})
            await shared.renew({"lease": [limits[1].address], "other": [limits[1].address]})

    asyncio.run(story())
    with Redis.from_url(store.url) as client:
        names = client.keys("modelops:*")
        assert len(names) == 5
        assert all(0 < client.pttl(name) <= LONGEST_MS for name in names)


TIMES = st.lists(st.integers(0, 5 * WINDOW_MS), max_size=80).map(sorted)


@given(st.integers(1, 20), TIMES)
def test_no_minute_has_more_than_the_limit_wherever_it_begins(
    most: int, times: Sequence[int]
) -> None:
    """A request passes if and only if the last minute, to the second, has room for it."""
    ledger, limit = Ledger(), Limit("requests", "key", "k", most)
    passed: list[int] = []
    for now in times:
        if ledger.take([limit], "pod", "", now).passes:
            passed.append(now)
            assert sum(now - before < WINDOW_MS for before in passed) <= most
        else:
            assert sum(now - before < LONGEST_MS for before in passed) >= most


@given(st.integers(1, 8), TIMES)
def test_whoever_waits_as_long_as_told_passes(most: int, times: Sequence[int]) -> None:
    """There is room when a refusal says so and not a moment before, and it is whole when told."""
    ledger, limit = Ledger(), Limit("requests", "key", "k", most)
    for now in times:
        refused = ledger.take([limit], "pod", "", now).refused_by
        if refused:
            assert not ledger.take([limit], "pod", "", now + refused.frees - 1).passes
            assert (
                Ledger({limit.address: _copy(ledger, limit)})
                .take([limit], "pod", "", now + refused.frees)
                .passes
            )
            whole = _copy(ledger, limit)
            whole.turn(now + refused.resets)
            assert not whole.used
            return


def _copy(ledger: Ledger, limit: Limit) -> Window:
    return Window(dict(ledger.windows[limit.address].slots))


AGES = st.dictionaries(
    st.integers(-9, -4) | st.integers(1, SLOTS - 4) | st.integers(SLOTS + 1, 2 * SLOTS),
    st.integers(1, 9),
    max_size=9,
)
"""In seconds, none so that it comes or goes while the test runs."""


@settings(max_examples=50, deadline=None)
@given(AGES, st.integers(1, 30))
def test_redis_forgets_as_memory_does(
    store: redisd.Server, ages: dict[int, int], most: int
) -> None:
    """Amounts of any age, also of a clock that was ahead, stand alike in both."""
    limit = Limit("tokens", "key", "k", most)

    async def story() -> tuple[Taken, Taken]:
        async with PatientRedis.from_url(store.url) as redis:
            await redis.flushall()
            seconds, parts = await redis.time()
            now = seconds * 1000 + parts // 1000
            slots = {now // SLOT_MS - age: amount for age, amount in ages.items()}
            for number, amount in slots.items():
                await redis.hset(limit.address, str(number), str(amount))
            shared = Shared(redis, "pod", Gauge("up", "", registry=None))
            expected = Ledger({limit.address: Window(slots)}).take([limit], "pod", "", now)
            return await shared.take([limit], "x"), expected

    found, expected = asyncio.run(story())
    (one,), (other,) = found.standings, expected.standings
    assert (found.passes, one.used) == (expected.passes, other.used)
    assert 0 <= other.frees - one.frees <= 2 * SLOT_MS
    assert 0 <= other.resets - one.resets <= 2 * SLOT_MS


def test_a_refused_request_counts_under_no_limit() -> None:
    """What the tenant's limit refuses does not use up the key's."""
    ledger = Ledger()
    key, tenant = Limit("requests", "key", "k", 10), Limit("requests", "tenant", "t", 1)
    assert [ledger.take([key, tenant], "pod", "", 0).passes for _ in range(3)] == [
        True,
        False,
        False,
    ]
    assert ledger.take([key], "pod", "", 0).standings[0].used == 2


def test_a_request_nobody_renews_counts_no_longer() -> None:
    """A pod that dies gives its callers their places back, and one that lives keeps them."""
    ledger, limit = Ledger(), Limit("parallel", "key", "k", 1)
    assert ledger.take([limit], "pod", "dead", 0).passes
    assert not ledger.take([limit], "pod", "next", LEASE_MS - 1).passes
    assert ledger.take([limit], "pod", "alive", LEASE_MS + 1).passes
    ledger.renew({"alive": [limit.address]}, 2 * LEASE_MS)
    assert not ledger.take([limit], "pod", "next", 3 * LEASE_MS - 1).passes
    ledger.release([limit.address], "alive")
    ledger.release([limit.address], "alive")
    assert ledger.take([limit], "pod", "next", 2 * LEASE_MS).passes
    ledger.sweep(10 * LEASE_MS)
    assert not ledger.leases


def test_a_pods_share_counts_once_a_minute() -> None:
    """What a pod has passed unasked is counted when it asks for the first time."""
    ledger, limit = Ledger(), Limit("requests", "key", "k", 1000, share(1000))
    used = [ledger.take([limit], pod, "", 0).standings[0].used for pod in ("a", "a", "b", "a")]
    assert used == [51, 52, 103, 104]
    assert share(EXACT) == 0


def test_limits_are_those_of_the_key_and_of_its_tenant() -> None:
    """A tenant's own words win over the default; a number that is none is no limit."""
    tenants = (Tenant("acme", requests_per_minute=1000), Tenant("free"))
    book = Book.of(Snapshot(tenants=tenants), 30, 0)

    def said(tenant: str, **claims: str) -> list[tuple[str, str, int, int]]:
        caller = Caller.read({"sub": tenant, "jti": "k", **claims})
        return [(one.scope, one.what, one.most, one.share) for one in book.limits(caller)]

    assert said("acme", rpm="5") == [("key", "requests", 5, 0), ("tenant", "requests", 1000, 50)]
    assert said("free", parallel="2", tpm="9") == [
        ("key", "tokens", 9, 0),
        ("key", "parallel", 2, 0),
    ]
    assert said("other", rpm="many") == [("tenant", "requests", 30, 0)]


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0, "0s"), (1, "1s"), (59_001, "1m0s"), (360_000, "6m0s")]
)
def test_durations_are_written_as_openai_writes_them(milliseconds: int, text: str) -> None:
    """Whole seconds, never too few, with minutes when there are any."""
    assert answers.duration(answers.seconds(milliseconds)) == text
