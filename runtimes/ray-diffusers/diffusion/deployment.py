"""The engine as a Ray Serve deployment: HTTP in, events out."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from ray import serve
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from diffusion import event, folder
from diffusion.fault import Fault, invalid
from diffusion.job import OPERATIONS, Job
from diffusion.line import Line
from diffusion.options import Options
from diffusion.painter import Painter
from diffusion.studio import Studio
from diffusion.task import Task

log = logging.getLogger(__name__)
EVENTS = "application/x-ndjson"
LONGEST_BODY = 1024 * 1024
"""Bytes of a request; pictures come as files."""

MOST_OPEN = 512
"""Requests of one replica, those for its health included."""

_LOCAL = ("127.0.0.1", "::1")


@serve.deployment(
    max_ongoing_requests=MOST_OPEN,
    max_constructor_retry_count=1,
    health_check_period_s=5,
    health_check_timeout_s=30,
)
class Engine:
    """One pipeline, its line and the thread that paints."""

    def __init__(self, options: Options) -> None:
        """Load the model and prove that it makes a picture: until then nothing is ready."""
        self._options = options
        self._studio = Studio.open(options)
        self._studio.rehearse()
        self._painter = Painter(self._studio, options.batch)
        self._line: Line[Task] = Line(lambda t: t.job.shape, lambda t: len(t.job.seeds))
        self._come = asyncio.Event()
        self._running = 0
        self._work = asyncio.get_running_loop().create_task(self._paint())

    async def check_health(self) -> None:
        """Raise when nobody paints any more: then Ray starts the engine anew."""
        if self._work.done():
            raise RuntimeError("the thread that paints has ended")

    async def open_jobs(self) -> int:
        """Return how many jobs wait or are worked on."""
        return len(self._line) + self._running

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if request.url.path == "/run" and request.method == "POST":
            return await self._run(request)
        if request.url.path == "/ready":
            return PlainTextResponse("ready\n")
        if request.url.path == "/limits":
            return JSONResponse(self._limits())
        if request.url.path == "/metrics":
            return PlainTextResponse(self._metrics())
        return PlainTextResponse("not found\n", 404)

    async def _run(self, request: Request) -> Response:
        if request.client is None or request.client.host not in _LOCAL:
            return PlainTextResponse("only the worker beside the engine may send jobs\n", 403)
        try:
            job = self._studio.accept(await _body(request))
        except Fault as fault:
            return StreamingResponse(_only(fault), media_type=EVENTS)
        except ClientDisconnect:
            return Response(status_code=499)
        return StreamingResponse(self._events(job), media_type=EVENTS)

    async def _events(self, job: Job) -> AsyncIterator[bytes]:
        """Yield what is told of a job; who stops listening wants no more of it."""
        task = Task(job, self._options)
        self._line.join(task)
        self._come.set()
        try:
            said: event.Event = {"event": ""}
            while not event.last(said):
                said = await task.next()
                yield event.line(said)
        finally:
            task.gone = True
            self._line.leave(task)

    async def _paint(self) -> None:
        """Paint who is next until the process ends; what comes meanwhile goes together."""
        while True:
            await self._come.wait()
            await asyncio.sleep(self._options.batch_wait_milliseconds / 1000)
            tasks = self._line.take(self._options.batch)
            if not tasks:
                self._come.clear()
                continue
            self._running = len(tasks)
            await asyncio.to_thread(self._painter.paint, tasks)
            self._running = 0

    def _limits(self) -> dict[str, Any]:
        chosen, limits = self._studio.defaults, self._studio.defaults.limits
        return {
            "maxWidth": limits.width,
            "maxHeight": limits.height,
            "maxSteps": limits.steps,
            "maxImages": limits.images,
            "multiple": chosen.family.multiple,
            "secondsPerMegapixelStep": round(self._studio.pace, 6),
            "family": chosen.family.name,
            "defaults": {
                "width": chosen.width,
                "height": chosen.height,
                "steps": chosen.steps,
                "guidance": chosen.guidance,
            },
            "operations": list(OPERATIONS),
            "schedulers": self._studio.schedulers.names,
            "loras": folder.names(self._options.loras),
            "controlNets": folder.names(self._options.control_nets),
            "batch": self._options.batch,
        }

    def _metrics(self) -> str:
        """Return how many jobs there are, by the names that the gateway reads of engines."""
        return (
            "# TYPE modelops:jobs_waiting gauge\n"
            f"modelops:jobs_waiting {len(self._line)}\n"
            "# TYPE modelops:jobs_running gauge\n"
            f"modelops:jobs_running {self._running}\n"
        )


async def _body(request: Request) -> object:
    try:
        text = b""
        async for piece in request.stream():
            text += piece
            if len(text) > LONGEST_BODY:
                raise invalid(f"the body has more than {LONGEST_BODY} bytes")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is no JSON: {error}") from error


async def _only(fault: Fault) -> AsyncIterator[bytes]:
    yield event.line(event.error(fault))
