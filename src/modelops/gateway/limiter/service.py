"""The service that Envoy asks, on loopback: its global rate limit protocol over gRPC."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final
from uuid import uuid4

import grpc
import grpc.aio
from envoy.config.core.v3.base_pb2 import HeaderValue
from envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest, RateLimitResponse
from google.protobuf.struct_pb2 import Struct
from httpx2 import AsyncClient
from prometheus_client import Counter

from modelops.gateway import loads
from modelops.gateway.answers import MODEL_BUSY
from modelops.gateway.contention import LEASE
from modelops.gateway.counters import Series
from modelops.gateway.limiter import answers
from modelops.gateway.limiter.gates import Gates, gate_of
from modelops.gateway.limiter.leases import Held, Leases
from modelops.gateway.limiter.ledger import LEASE_MS, Taken
from modelops.gateway.limiter.limits import Book, Caller, Limit, contended
from modelops.gateway.limiter.queue import Ticket
from modelops.gateway.limiter.shared import Away, Shared
from modelops.gateway.meter import SHARE
from modelops.gateway.snapshot import Contended, Snapshot

SERVICE: Final = "envoy.service.ratelimit.v3.RateLimitService"
OK: Final = RateLimitResponse.OK
OVER: Final = RateLimitResponse.OVER_LIMIT

TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "estimated_input_tokens",
    "estimated_output_tokens",
)
WATCH_SECONDS: Final = 0.5
"""Time between two readings, at least; with many models they cost Envoy time."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Limiter:
    """Decides about contended requests by the book, on what all gateway pods count together."""

    counts: Shared
    decisions: Counter
    admin: str
    """The URL of Envoy's admin port."""
    default: int = 0
    """Requests per minute of a tenant without an object; 0 is no limit."""
    replica: int = 0
    """Requests at a time of a replica that does not say how many it takes; 0 is any number."""
    changed: Callable[[], None] = lambda: None
    """Called when others are contended than were."""
    contended: Contended = field(default_factory=Contended)
    unspent: dict[Limit, int] = field(default_factory=dict)
    """Tokens that Redis does not know of yet."""
    book: Book = field(default_factory=lambda: Book({}))
    informed: bool = False
    """Whether the platform has said anything yet."""
    gates: Gates = field(default_factory=Gates)
    pods: int = 1
    leases: Leases = field(default_factory=Leases)
    ending: set[asyncio.Task[None]] = field(default_factory=set)

    async def answer(self, request: RateLimitRequest, context: Any) -> RateLimitResponse:
        """Answer one question of Envoy's, or hear that a request has ended."""
        told = _told(request)
        if LEASE in told:
            await self._end(told[LEASE])
            return RateLimitResponse(overall_code=OK)
        caller, lease = Caller.read(told), uuid4().hex
        limits = self.book.limits(caller)
        try:
            taken = await self._take(limits, lease)
        except Away:
            self.decisions.labels("away").inc()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "limits cannot be looked up")
        if taken.refused_by:
            self.decisions.labels(taken.refused_by.limit.what).inc()
            return _response(taken)
        addresses = tuple(limit.address for limit in limits if limit.what == "parallel")
        cluster = told.get("destination_cluster", "")
        gate = gate_of(cluster)
        held = Held(addresses, gate, cluster if gate == cluster else None, time.monotonic())
        ticket = Ticket(lease, caller.tenant, self.book.weight(caller))
        return await self._let_in(taken, ticket, held, context)

    async def _take(self, limits: Sequence[Limit], lease: str) -> Taken:
        """Count a request; raise Away where it shall not pass uncounted and cannot be counted.

        A new process knows no tenant until the API server has answered, however long that takes.
        """
        if not (self.informed or self.counts.open_):
            raise Away
        return await self.counts.take(limits, lease)

    async def _let_in(
        self, taken: Taken, ticket: Ticket, held: Held, context: Any
    ) -> RateLimitResponse:
        """Wait for a place at the model; whoever gets none gives all others back."""
        gated, passes = held.gate in self.gates.turnstiles, False
        try:
            passes = await self.gates.enter(held.gate, ticket)
        finally:
            if not passes:
                await self.counts.release(held.addresses, ticket.lease)
        self.decisions.labels("passed" if passes else "busy").inc()
        if not passes:
            return _busy()
        if not (gated or held.addresses):
            return _response(taken)
        self.leases.begin(ticket.lease, held)
        context.add_done_callback(partial(self._heard, ticket.lease))
        return _response(taken, ticket.lease)

    def follow(self, snapshot: Snapshot) -> None:
        """Decide by what the platform says now."""
        self.book, self.informed = Book.of(snapshot, self.default, self.replica), True

    def spend(self, added: Mapping[Series, int]) -> None:
        """Count tokens that requests have used."""
        for series, count in added.items():
            if series.name in TOKENS:
                for limit in self.book.tokens(series.key, series.tenant):
                    self.unspent[limit] = self.unspent.get(limit, 0) + count

    async def watch(self) -> None:
        """Follow who has used up tokens, and which models are saturated, until cancelled."""
        async with AsyncClient(base_url=self.admin, trust_env=False) as envoy:
            took = 0.0
            while True:
                await asyncio.sleep(max(WATCH_SECONDS, SHARE * took))
                started = time.monotonic()
                await self._measure(envoy)
                took = time.monotonic() - started
                spent = contended(await self._spent())
                now = replace(spent, models=self.gates.busy)
                if now != self.contended:
                    self.contended = now
                    self.changed()

    async def _spent(self) -> frozenset[str]:
        """Tell Redis what was spent; return the limits that are used up."""
        if not self.book.counts_tokens and self.contended == Contended():
            return frozenset()
        unspent, self.unspent = self.unspent, {}
        return await self.counts.add(unspent)

    async def _measure(self, envoy: AsyncClient) -> None:
        """Read how many requests Envoy has at each model."""
        active = await loads.read(envoy)
        if active is None:
            return
        self.gates.measure(active, lambda cluster: self.book.room(cluster, self.pods))
        for lease in self.leases.lost(active, time.monotonic()):
            await self._end(lease)

    def _heard(self, lease: str, context: Any) -> None:
        """End a request whose caller went away before Envoy heard the answer."""
        if context.cancelled():
            self.ending.add(task := asyncio.create_task(self._end(lease)))
            task.add_done_callback(self.ending.discard)

    async def _end(self, lease: str) -> None:
        held = self.leases.end(lease)
        self.gates.leave(held.gate, lease)
        await self.counts.release(held.addresses, lease)

    async def run(self, port: int) -> None:
        """Answer until cancelled."""
        async with self.serve(port), asyncio.TaskGroup() as group:
            group.create_task(self.renew())
            group.create_task(self.watch())

    async def renew(self) -> None:
        """Keep what runs alive until cancelled, so that it counts until it ends."""
        while True:
            self.pods = await self.counts.pods()
            held = self.leases.held.items()
            await self.counts.renew({lease: one.addresses for lease, one in held})
            await asyncio.sleep(LEASE_MS / 1000 / 4)

    @asynccontextmanager
    async def serve(self, port: int) -> AsyncIterator[int]:
        """Listen on loopback, on any free port for 0; give the port."""
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(
            self.answer,
            request_deserializer=RateLimitRequest.FromString,
            response_serializer=RateLimitResponse.SerializeToString,
        )
        methods = {"ShouldRateLimit": handler}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        try:
            yield bound
        finally:
            await server.stop(grace=None)


def _told(request: RateLimitRequest) -> dict[str, str]:
    return {entry.key: entry.value for one in request.descriptors for entry in one.entries}


def _response(taken: Taken, lease: str = "") -> RateLimitResponse:
    refused = taken.refused_by
    words = Struct()
    if lease:
        words.update({LEASE: lease})
    return RateLimitResponse(
        overall_code=OVER if refused else OK,
        dynamic_metadata=words,
        raw_body=answers.body(refused).encode() if refused else b"",
        response_headers_to_add=_headers(answers.headers(taken)),
    )


def _busy() -> RateLimitResponse:
    return RateLimitResponse(
        overall_code=OVER,
        raw_body=answers.busy().encode(),
        response_headers_to_add=_headers(answers.refusal(MODEL_BUSY.retry_seconds or 1)),
    )


def _headers(texts: Mapping[str, str]) -> list[HeaderValue]:
    return [HeaderValue(key=key, value=value) for key, value in texts.items()]
