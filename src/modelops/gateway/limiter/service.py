"""The service that Envoy asks, on loopback: its global rate limit protocol over gRPC."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import uuid4

import grpc
import grpc.aio
from envoy.config.core.v3.base_pb2 import HeaderValue
from envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest, RateLimitResponse
from google.protobuf.struct_pb2 import Struct
from prometheus_client import Counter

from modelops.gateway.contention import LEASE
from modelops.gateway.counters import Series
from modelops.gateway.limiter import answers
from modelops.gateway.limiter.ledger import LEASE_MS, Taken
from modelops.gateway.limiter.limits import Book, Caller, Limit, contended
from modelops.gateway.limiter.shared import Away, Shared
from modelops.gateway.snapshot import Contended, Snapshot

SERVICE: Final = "envoy.service.ratelimit.v3.RateLimitService"
OK: Final = RateLimitResponse.OK
OVER: Final = RateLimitResponse.OVER_LIMIT

TOKENS: Final = ("input_tokens", "output_tokens")
WATCH_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Limiter:
    """Decides about contended requests by the book, on what all gateway pods count together."""

    counts: Shared
    decisions: Counter
    default: int = 0
    """Requests per minute of a tenant without an object; 0 is no limit."""
    changed: Callable[[], None] = lambda: None
    """Called when others are contended than were."""
    contended: Contended = field(default_factory=Contended)
    unspent: dict[Limit, int] = field(default_factory=dict)
    """Tokens that Redis does not know of yet."""
    book: Book = field(default_factory=lambda: Book({}))
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The leases of requests that run, and the addresses of the limits that they count under."""
    ending: set[asyncio.Task[None]] = field(default_factory=set)

    async def answer(self, request: RateLimitRequest, context: Any) -> RateLimitResponse:
        """Answer one question of Envoy's, or hear that a request has ended."""
        told = _told(request)
        if LEASE in told:
            await self._end(told[LEASE])
            return RateLimitResponse(overall_code=OK)
        limits, lease = self.book.limits(Caller.read(told)), uuid4().hex
        try:
            taken = await self.counts.take(limits, lease)
        except Away:
            self.decisions.labels("away").inc()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Redis does not answer")
        self._tell(taken)
        held = tuple(limit.address for limit in limits if limit.what == "parallel")
        if not (taken.passes and held):
            return _response(taken)
        self.held[lease] = held
        context.add_done_callback(partial(self._heard, lease))
        return _response(taken, lease)

    def follow(self, snapshot: Snapshot) -> None:
        """Decide by what the platform says now."""
        self.book = Book.of(snapshot, self.default)

    def spend(self, added: Mapping[Series, int]) -> None:
        """Count tokens that requests have used."""
        for series, count in added.items():
            if series.name in TOKENS:
                for limit in self.book.tokens(series.key, series.tenant):
                    self.unspent[limit] = self.unspent.get(limit, 0) + count

    async def watch(self) -> None:
        """Tell Redis what was spent, and hear whose tokens are used up, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self.book.counts_tokens or self.contended != Contended():
                spent, self.unspent = self.unspent, {}
                now = contended(await self.counts.add(spent))
                if now != self.contended:
                    self.contended = now
                    self.changed()

    def _tell(self, taken: Taken) -> None:
        refused = taken.refused_by
        self.decisions.labels(refused.limit.what if refused else "passed").inc()

    def _heard(self, lease: str, context: Any) -> None:
        """End a request whose caller went away before Envoy heard the answer."""
        if context.cancelled():
            self.ending.add(task := asyncio.create_task(self._end(lease)))
            task.add_done_callback(self.ending.discard)

    async def _end(self, lease: str) -> None:
        await self.counts.release(self.held.pop(lease, ()), lease)

    async def run(self, port: int) -> None:
        """Answer until cancelled."""
        async with self.serve(port), asyncio.TaskGroup() as group:
            group.create_task(self.renew())
            group.create_task(self.watch())

    async def renew(self) -> None:
        """Keep what runs alive until cancelled, so that it counts until it ends."""
        while True:
            await asyncio.sleep(LEASE_MS / 1000 / 4)
            await self.counts.renew(dict(self.held))

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


def _headers(texts: Mapping[str, str]) -> list[HeaderValue]:
    return [HeaderValue(key=key, value=value) for key, value in texts.items()]
