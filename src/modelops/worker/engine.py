"""The engine beside the worker, over HTTP."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from modelops.jobs import engine
from modelops.jobs.engine import Done, Event, Failed, Limits, NotUnderstood, Run
from modelops.jobs.job import Code


class Engine(Protocol):
    """Something that does jobs."""

    def run(self, run: Run) -> AsyncGenerator[Event, None]:
        """Do it, telling what happens; the last is Done or Failed. Closing this stops the work."""
        ...


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An engine at a URL."""

    session: ClientSession
    url: str

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, silent: float) -> AsyncIterator["Neighbour"]:
        """Give one that may be silent for so many seconds."""
        patience = ClientTimeout(total=None, sock_connect=5, sock_read=silent)
        async with ClientSession(
            connector=TCPConnector(limit=0, force_close=True),
            timeout=patience,
            read_bufsize=engine.LONGEST_LINE,
            trust_env=False,
        ) as session:
            yield cls(session, url.rstrip("/"))

    async def ready(self) -> bool:
        """Tell whether it can work."""
        try:
            async with self.session.get(self.url + engine.READY) as answer:
                return answer.status == 200
        except (ClientError, TimeoutError, OSError):
            return False

    async def limits(self) -> Limits | None:
        """Return what it takes at most; None where it does not say now."""
        try:
            async with self.session.get(self.url + engine.LIMITS) as answer:
                return engine.limits(await answer.json()) if answer.status == 200 else None
        except (ClientError, TimeoutError, OSError, ValueError, AttributeError, TypeError):
            return None

    async def run(self, run: Run) -> AsyncGenerator[Event, None]:
        """Do a job; an engine that goes away, or says what is no event, has failed."""
        try:
            async with self.session.post(
                self.url + engine.RUN, data=run.json(), headers={"content-type": "application/json"}
            ) as answer:
                if answer.status != 200:
                    said = (await answer.content.read(2000)).decode(errors="replace")
                    yield _refused(answer.status, said)
                    return
                async for line in answer.content:
                    told = engine.event(line)
                    yield told
                    if isinstance(told, Done | Failed):
                        return
        except (ClientError, TimeoutError, OSError) as error:
            yield _lost(str(error) or type(error).__name__)
        except (NotUnderstood, ValueError) as error:
            yield Failed(Code.INTERNAL, str(error), retriable=True)
        else:
            yield _lost("its answer ended without a last event")


def _refused(status: int, said: str) -> Failed:
    invalid = 400 <= status < 500 and status not in {408, 409, 425, 429}
    code = Code.INVALID_INPUT if invalid else Code.INTERNAL
    return Failed(code, f"The engine answered with status {status}: {said}", not invalid)


def _lost(why: str) -> Failed:
    return Failed(Code.ENGINE_LOST, f"The engine went away: {why}", retriable=True)
