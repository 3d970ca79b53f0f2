"""The job API's HTTP server: on loopback, behind Envoy, which says who asks."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from modelops.gateway.answers import Refusal
from modelops.gateway.jobapi import words
from modelops.gateway.jobapi.asked import PATHS, Wrong
from modelops.gateway.jobapi.desk import Caller, Desk, Refusing
from modelops.gateway.jobapi.form import received
from modelops.gateway.jobapi.news import heard
from modelops.gateway.jobapi.signature import secret
from modelops.gateway.joblead import KEY, MODEL, TENANT
from modelops.gateway.loopback import LOOPBACK
from modelops.jobs.job import Job
from modelops.jobs.store import Unavailable
from modelops.jobs.streams import GONE

LONGEST_WAIT: Final = 300.0
HEARTBEAT_SECONDS: Final = 10.0
MOST_LISTED: Final = 100
LONGEST_KEY: Final = 255
LARGEST: Final = 2**31
"""More bytes than Envoy ever lets pass."""

LAST_SECONDS: Final = 0.1
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")


@dataclass(frozen=True, slots=True)
class JobApi:
    """Answers; without a desk all is refused. ``answer_seconds`` is how long images are waited for.

    ``master`` is what the tenants' secrets for webhooks are made of.
    """

    desk: Desk | None
    answer_seconds: float = 30.0
    master: bytes = b""

    @asynccontextmanager
    async def serve(self, port: int) -> AsyncIterator[int]:
        """Listen on loopback, on any free port for 0; give the port."""
        app = web.Application(client_max_size=LARGEST, middlewares=[_refusing])
        app.add_routes(self._routes() if self.desk else [web.route("*", "/{path:.*}", _off)])
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=LAST_SECONDS
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, port).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    async def run(self, port: int) -> None:
        """Answer until cancelled."""
        async with self.serve(port):
            await asyncio.Event().wait()

    def _routes(self) -> list[web.RouteDef]:
        one = "/v1/jobs/{id}"
        return [
            *(web.post(path, self.order) for path in PATHS),
            web.get("/v1/jobs", self.list),
            web.get("/v1/jobs/webhook-secret", self.secret),
            web.get(one, self.get),
            web.delete(one, self.delete),
            web.post(f"{one}/cancel", self.cancel),
            web.get(f"{one}/result", self.result),
            web.get(f"{one}/events", self.events),
        ]

    @property
    def _open(self) -> Desk:
        assert self.desk, "there are no routes without one"  # noqa: S101
        return self.desk

    async def order(self, request: web.Request) -> web.Response:
        """Take an order of images; answer with them, or with the job after some time."""
        desk, caller = self._open, _caller(request)
        if len(caller.once) > LONGEST_KEY:
            raise Refusing(words.wrong(f"The Idempotency-Key is longer than {LONGEST_KEY}."))
        try:
            form = await received(request)
        except Wrong as error:
            raise Refusing(words.wrong(str(error))) from error
        job = await desk.order(request.path, form, caller)
        job = await desk.ended(job, self._patience(request))
        if job.state.ended:
            return web.json_response(await desk.images(job), headers=_where(job))
        told = await desk.described(job)
        return web.json_response(told, status=202, headers={**_where(job), "retry-after": "1"})

    def _patience(self, request: web.Request) -> float:
        """Return how long the caller waits: RFC 7240's `Prefer` may say."""
        said = ",".join(request.headers.getall("prefer", ())).lower()
        if "respond-async" in said:
            return 0.0
        wait = _WAIT.search(said)
        return min(float(wait.group(1)), LONGEST_WAIT) if wait else self.answer_seconds

    async def list(self, request: web.Request) -> web.Response:
        """List the tenant's jobs, latest first."""
        desk, caller = self._open, _caller(request)
        limit = request.query.get("limit", "20")
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= MOST_LISTED:
            raise Refusing(words.wrong(f"`limit` is wrong: write 1 to {MOST_LISTED}."))
        after = request.query.get("after", "")
        found = await desk.queue.list(caller.tenant, after, int(limit) + 1)
        jobs = [await desk.described(job) for job in found[: int(limit)]]
        more = len(found) > int(limit)
        return web.json_response({"object": "list", "data": jobs, "has_more": more})

    async def secret(self, request: web.Request) -> web.Response:
        """Tell a tenant what its webhooks are signed with."""
        if not self.master:
            raise Refusing(words.NO_SECRET)
        told = secret(self.master, _caller(request).tenant)
        return web.json_response({"object": "webhook_secret", "secret": told})

    async def get(self, request: web.Request) -> web.Response:
        """Tell of a job."""
        return web.json_response(await self._open.described(await self._job(request)))

    async def delete(self, request: web.Request) -> web.Response:
        """Forget a job and its files."""
        job = await self._job(request)
        await self._open.delete(job)
        return web.json_response({"id": job.order.id, "object": "job", "deleted": True})

    async def cancel(self, request: web.Request) -> web.Response:
        """Let nobody work on a job any more."""
        job = await self._job(request)
        await self._open.queue.cancel(job.order.id)
        return await self.get(request)

    async def result(self, request: web.Request) -> web.Response:
        """Give what a job made."""
        return web.json_response(await self._open.images(await self._job(request)))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Tell of a job as often as something happens to it, until it has ended."""
        desk, job = self._open, await self._job(request)
        answer = web.StreamResponse(
            headers={"content-type": "text/event-stream", "cache-control": "no-store"}
        )
        await answer.prepare(request)
        async with desk.news.of(job.order.id) as event:
            said = b""
            while True:
                told = json.dumps(await desk.described(job)).encode()
                await answer.write(b": waiting\n\n" if told == said else _event(told))
                said = told
                if job.state.ended:
                    return answer
                await heard(event, HEARTBEAT_SECONDS)
                found = await desk.queue.get(job.order.id)
                if found is None:
                    return answer
                job = found

    async def _job(self, request: web.Request) -> Job:
        return await self._open.mine(request.match_info["id"], _caller(request))


def _caller(request: web.Request) -> Caller:
    """Return who Envoy says that asks; it has taken such headers of the caller's away."""
    headers = request.headers
    tenant = headers.get(TENANT, "")
    if not tenant:
        raise Refusing(words.UNKNOWN)
    once = headers.get("idempotency-key", "")
    return Caller(tenant, headers.get(KEY, ""), headers.get(MODEL, ""), once)


def _where(job: Job) -> dict[str, str]:
    path = f"/v1/jobs/{job.order.id}"
    return {"location": path, "x-modelops-job": job.order.id}


def _event(told: bytes) -> bytes:
    return b"event: job\ndata: " + told + b"\n\n"


async def _off(_: web.Request) -> web.Response:
    raise Refusing(words.OFF)


@web.middleware
async def _refusing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Word what goes wrong as OpenAI does."""
    try:
        return await handler(request)
    except Refusing as error:
        return _refused(error.refusal)
    except Unavailable:
        return _refused(words.STORE_AWAY)
    except GONE:
        return _refused(words.AWAY)
    except web.HTTPNotFound:
        return _refused(Refusal(404, f"Unknown request URL: {request.path}.", code="unknown_url"))
    except web.HTTPMethodNotAllowed as error:
        allow = ", ".join(sorted(error.allowed_methods))
        said = f"{request.path} takes {allow}, not {request.method}."
        return _refused(Refusal(405, said, code="method_not_allowed", allow=allow))


def _refused(refusal: Refusal) -> web.Response:
    wait = refusal.retry_seconds
    headers = {"retry-after": str(math.ceil(wait))} if wait is not None else {}
    headers |= {"allow": refusal.allow} if refusal.allow else {}
    return web.json_response(words.error(refusal), status=refusal.status, headers=headers)
