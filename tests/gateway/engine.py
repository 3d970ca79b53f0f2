"""A fake engine: it answers what it was asked, streams on demand, and tells what reached it."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from queue import Queue
from typing import Any

from aiohttp import web

EVENTS = 5


@dataclass
class Engine:
    """A running fake engine: its port, and what happened to it."""

    port: int = 0
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    cancelled: Queue[str] = field(default_factory=Queue)
    """One entry for each request whose caller went away."""
    gate: "asyncio.Queue[None]" = field(default_factory=asyncio.Queue)
    """A stream with `gated` sends an event for each release."""
    extra: dict[str, str] = field(default_factory=dict)
    """Headers of its whole answers."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    loop: asyncio.AbstractEventLoop | None = None

    def release(self) -> None:
        """Let a stream send its next event."""
        assert self.loop
        self.loop.call_soon_threadsafe(self.gate.put_nowait, None)

    def hold(self) -> None:
        """Forget releases that nobody has taken."""
        while not self.gate.empty():
            self.gate.get_nowait()

    def lose(self, path: str, seconds: float) -> None:
        """Wait until a caller of this path has gone away; earlier stories may have left others."""
        end = time.monotonic() + seconds
        while self.cancelled.get(timeout=max(0.0, end - time.monotonic())) != path:
            pass

    def kill(self) -> None:
        """Go away as a process does that is killed."""
        assert self.loop
        self.loop.call_soon_threadsafe(self.stop.set)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Echo the body, or give the `answer` that it holds.

        With `stream`, send events, each of them the `event` if there is one, and break off before
        the one that `dies`. A `status` is the answer's; `held` waits for a release, `breaks` is no
        answer at all.
        """
        self.requests.append((request.method, request.path, dict(request.headers)))
        if not request.content_type.endswith("json"):
            return web.json_response({"text": (await request.read()).hex()})
        body = json.loads(await request.read() or b"{}")
        try:
            if body.get("stream"):
                return await self._stream(request, body)
            if "answer" in body:
                return web.json_response(large(body["answer"], body.get("times", 1)))
            return await self._whole(request, body)
        except asyncio.CancelledError:
            self.cancelled.put(request.path)
            raise

    async def _whole(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        if body.get("held"):
            await self.gate.get()
        if body.get("breaks"):
            assert request.transport
            request.transport.abort()
        told = {"path": request.path, "got": body, "port": self.port}
        return web.json_response(told, status=body.get("status", 200), headers=self.extra)

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body.get("whole"):
            return web.Response(body=said(body), content_type="text/event-stream")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if "told" in body:
            for piece in pieces(said(body), body["cuts"]):
                await response.write(piece)
                await asyncio.sleep(0)
            if body.get("breaks"):
                assert request.transport
                request.transport.abort()
            return response
        for number in range(EVENTS):
            if body.get("dies") == number:
                assert request.transport
                request.transport.abort()
            if body.get("gated"):
                await self.gate.get()
            event = body.get("event", f'{{"n": {number}}}')
            await response.write(f"data: {event}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


def large(answer: dict[str, Any], times: int) -> dict[str, Any]:
    """Return an answer whose data is so many times as long."""
    return answer | {"data": answer["data"] * times} if "data" in answer else answer


def said(body: dict[str, Any]) -> bytes:
    """Return all that the engine streams for a request: what is `told`, and usage if asked."""
    if body.get("breaks"):
        return (body["told"][0] + body["end"]).encode()
    events = [*body["told"]]
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(f'data: {{"choices":[],"usage":{json.dumps(body["usage"])}}}')
    whole = "".join(event + body["end"] for event in [*events, "data: [DONE]"])
    return whole.removesuffix(body["end"] if body.get("abrupt") else "").encode()


def pieces(text: bytes, cuts: list[int]) -> list[bytes]:
    """Return a text in pieces, cut at these places."""
    places = sorted({0, len(text), *(cut % len(text) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@contextmanager
def engine(port: int = 0) -> Iterator[Engine]:
    """Run a fake engine on loopback, on a free port unless one is given."""
    fake, started = Engine(port), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(fake, started)))
    thread.start()
    try:
        assert started.wait(10)
        yield fake
    finally:
        if thread.is_alive():
            fake.kill()
        thread.join(10)


async def _serve(fake: Engine, started: threading.Event) -> None:
    app = web.Application(client_max_size=2**30)
    app.add_routes([web.route("*", "/{path:.*}", fake.answer)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", fake.port).start()
    fake.port, fake.loop = runner.addresses[0][1], asyncio.get_running_loop()
    started.set()
    await fake.stop.wait()
    await runner.cleanup()
