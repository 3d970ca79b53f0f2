"""How one request is passed on to one replica, and its answer back, as they are."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientPayloadError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    web,
)
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from modelops.gateway.clusters import CONNECT_SECONDS
from modelops.gateway.snapshot import Endpoint
from modelops.gateway.waking import CHAINED

SILENT_SECONDS: Final = 3600
"""An engine may be silent for so long, as for Envoy."""

OF_ONE_HOP: Final = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "expect",
    )
)  # fmt: skip
"""Headers that speak of one connection only."""

_OURS: Final = frozenset(("host", CHAINED, "content-length"))
_NOT_ADDED: Final = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


TRUE: Final = frozenset(("true", "t", "yes", "y", "on", "1"))
"""What engines take for true."""


class Lost(Exception):
    """A replica went away, or could not be reached, before anything of its answer came."""


class Broken(Exception):
    """What a replica answered is no HTTP."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came; the body is whole."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def streamed(self) -> bool:
        """Whether it asks for a stream, as leniently as engines read that."""
        if b'"stream"' not in self.body:
            return False
        try:
            said = orjson.loads(self.body)
        except ValueError:
            return False
        return isinstance(said, dict) and str(said.get("stream")).lower() in TRUE


@dataclass(slots=True)
class Passage:
    """Passes requests on, each over a connection of its own, to the replica with fewest of them."""

    session: ClientSession
    _open: Counter[Endpoint] = field(default_factory=Counter)

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator["Passage"]:
        """Give a passage whose connections are closed in the end."""
        patience = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
        async with ClientSession(
            connector=TCPConnector(limit=0, force_close=True),
            cookie_jar=DummyCookieJar(),
            timeout=patience,
            auto_decompress=False,
            skip_auto_headers=_NOT_ADDED,
        ) as session:
            yield cls(session)

    def choose(self, replicas: Iterable[Endpoint], lost: Collection[Endpoint]) -> Endpoint | None:
        """Return the replica with the fewest open requests, leaving out those that were lost."""
        left = (one for one in replicas if one not in lost)
        return min(left, key=lambda one: self._open[one], default=None)

    @asynccontextmanager
    async def answer(self, asked: Asked, replica: Endpoint) -> AsyncIterator[ClientResponse]:
        """Give the answer as soon as its headers are there; raises Lost when they never come."""
        self._open[replica] += 1
        try:
            response = await self._send(asked, replica)
            async with response:
                yield response
        finally:
            self._open[replica] -= 1
            if not self._open[replica]:
                del self._open[replica]

    async def _send(self, asked: Asked, replica: Endpoint) -> ClientResponse:
        url = URL(replica.url + asked.path, encoded=True)
        headers = _without(asked.headers, OF_ONE_HOP | _OURS)
        try:
            return await self.session.request(
                asked.method, url, data=asked.body, headers=headers, allow_redirects=False
            )
        except (ClientConnectionError, ClientPayloadError, TimeoutError, OSError) as error:
            raise Lost(str(error) or type(error).__name__) from error
        except ClientError as error:
            raise Broken(str(error)) from error


def head(answer: ClientResponse) -> web.StreamResponse:
    """Return the beginning of an answer as the replica gave it."""
    headers = _without(answer.headers, OF_ONE_HOP)
    return web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)


def _without(headers: CIMultiDictProxy[str], names: Collection[str]) -> CIMultiDict[str]:
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in names)


async def copy(answer: ClientResponse, to: web.StreamResponse) -> bool:
    """Pass a body on as it comes; return whether it came whole."""
    try:
        async for chunk in answer.content.iter_any():
            await to.write(chunk)
    except (ClientConnectionError, ClientPayloadError, TimeoutError):
        return False
    return True
