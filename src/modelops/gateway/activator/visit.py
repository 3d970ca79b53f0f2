"""One request at the activator, from its arrival to the end of its answer."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import ClientResponse, web

from modelops.gateway.activator import words
from modelops.gateway.activator.passage import Asked, Broken, Lost, Passage, copy, head
from modelops.gateway.activator.places import Bounds
from modelops.gateway.activator.room import Room
from modelops.gateway.answers import SERVER, Refusal
from modelops.gateway.snapshot import Endpoint, Model
from modelops.gateway.waking import CHAINED, REFUSED

AGAIN_SECONDS: Final = 1.0
"""Replicas that were lost and are still listed are tried again so often."""

LONGEST_ERROR: Final = 64 * 1024
"""Bytes of an engine's error that a stream is told."""

EVENTS: Final = "text/event-stream"


@dataclass(slots=True)
class Visit:
    """A request that waits in a room; ``admit`` is called once, when it waits no more."""

    request: web.Request
    room: Room
    bounds: Bounds
    passage: Passage
    complete: Callable[[], bool]
    """Whether everything about models is known yet."""
    admit: Callable[[], None]
    arrived: float = field(default_factory=time.monotonic)
    lost: set[Endpoint] = field(default_factory=set)
    stream: web.StreamResponse | None = None
    """The answer, once its caller was told that it waits."""
    waited: bool = False
    outcome: str = "left"
    """What became of it: its caller left, it was passed or woken for, or a refusal's code."""
    held: float = 0
    """Seconds until that."""

    async def run(self) -> web.StreamResponse:
        """Return the answer, which may be a refusal; nothing is ever sent twice."""
        asked = await _read(self.request)
        while True:
            model = self.room.model
            replica = self.passage.choose(model.endpoints, self.lost) if model else None
            if model and replica:
                answer = await self._try(asked, model, replica)
            elif refusal := self._hopeless(model):
                answer = await self._refuse(refusal)
            else:
                answer = None
                await self._wait(asked)
            if answer:
                return answer

    async def _try(
        self, asked: Asked, model: Model, replica: Endpoint
    ) -> web.StreamResponse | None:
        """Return the answer of a replica; None when that was lost, and others are left."""
        try:
            return await self._pass(asked, replica)
        except Broken:
            return await self._refuse(words.nonsense(model))
        except Lost:
            self.lost.add(replica)
            return await self._refuse(words.leading_on(model)) if self._chained else None

    @property
    def _chained(self) -> bool:
        return CHAINED in self.request.headers

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self.arrived

    def _hopeless(self, model: Model | None) -> Refusal | None:
        """Return why there is nothing to wait for."""
        if model is None:
            return words.unknown() if self.complete() or self._late else None
        if self._late:
            return words.late(model, self._seconds, self.room.eta)
        return None if model.endpoints else words.broken(model)

    @property
    def _late(self) -> bool:
        return self._seconds >= self.bounds.seconds

    async def _wait(self, asked: Asked) -> None:
        """Wait for news of the model, telling the caller so from time to time."""
        self.waited = True
        beat = self.bounds.heartbeat
        due = beat - self._seconds % beat
        left = min(due, self.bounds.seconds - self._seconds)
        before = self._seconds // beat
        await self.room.change(max(0.0, min(left, AGAIN_SECONDS) if self.lost else left))
        self.lost.clear()
        if self._seconds // beat > before and (self.stream or asked.streamed):
            await self._tell()

    async def _tell(self) -> None:
        if self.stream is None:
            told = {words.STATUS: words.status("waking", self._seconds), "Content-Type": EVENTS}
            self.stream = web.StreamResponse(headers=told)
            await self.stream.prepare(self.request)
        await self.stream.write(words.comment(self._seconds))

    async def _pass(self, asked: Asked, replica: Endpoint) -> web.StreamResponse:
        async with self.passage.answer(asked, replica) as answer:
            self.admit()
            self._end("woken" if self.waited else "passed")
            if self.stream:
                return await self._go_on(answer, self.stream)
            response = head(answer)
            if self.waited:
                response.headers[words.STATUS] = words.status("woken", self._seconds)
            await response.prepare(self.request)
            return await self._copy(answer, response)

    async def _go_on(self, answer: ClientResponse, to: web.StreamResponse) -> web.StreamResponse:
        """Go on with a stream that was begun: only in it can be told what went wrong."""
        if answer.status == 200 and answer.content_type == EVENTS:
            return await self._copy(answer, to)
        said = await answer.content.read(LONGEST_ERROR)
        await to.write(words.event(_as_error(answer.status, said)))
        await to.write_eof()
        return to

    async def _copy(self, answer: ClientResponse, to: web.StreamResponse) -> web.StreamResponse:
        """Pass the rest on; an answer that breaks off is broken off, never ended."""
        if await copy(answer, to):
            await to.write_eof()
        elif self.request.transport:
            self.request.transport.abort()
        return to

    def _end(self, outcome: str) -> None:
        self.outcome, self.held = outcome, self._seconds

    async def _refuse(self, refusal: Refusal) -> web.StreamResponse:
        self._end(str(refusal.code))
        if self.stream:
            await self.stream.write(words.event(words.error(refusal)))
            await self.stream.write_eof()
            return self.stream
        return refused(refusal, words.status(str(refusal.code), self._seconds))


async def _read(request: web.Request) -> Asked:
    return Asked(request.method, request.raw_path, request.headers, await request.read())


def refused(refusal: Refusal, status: str = "full") -> web.Response:
    """Return a refusal as an answer, which leads a chain on to its next model."""
    again = refusal.retry_seconds
    when = {} if again is None else {"Retry-After": str(again)}
    told = {REFUSED: str(refusal.code), words.STATUS: status, **when}
    return web.json_response(words.error(refusal), status=refusal.status, headers=told)


def _as_error(status: int, said: bytes) -> dict[str, Any]:
    """Return what an engine said of a failure, in OpenAI's shape."""
    try:
        told = json.loads(said)
    except ValueError:
        told = None
    if isinstance(told, dict) and "error" in told:
        return told
    text = said.decode(errors="replace")
    return {"error": {"message": text, "type": SERVER, "param": None, "code": status}}
