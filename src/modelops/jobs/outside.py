"""Fetching what strangers name: only from public addresses, and from the one that was looked at."""

import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

MOST_REDIRECTS: Final = 4
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

_TRANSLATED: Final = tuple(
    ipaddress.ip_network(each)
    for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10")
)
"""IPv6 networks behind which IPv4 addresses stand, or that are no more in use."""

Network = IPv4Network | IPv6Network


class Forbidden(ValueError):
    """An address is not for strangers to name."""


def public(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether an IP address is one of the internet, or of a network that is allowed."""
    ip: IPv4Address | IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if any(ip in network for network in allowed):
        return True
    translated = any(ip in network for network in _TRANSLATED)
    return ip.is_global and not ip.is_multicast and not translated


def checked(url: str, allowed: Sequence[Network] = ()) -> URL:
    """Return a URL that may be asked if what it names is public; raises Forbidden."""
    try:
        found = URL(url)
        host, port = found.host, found.port
    except ValueError as error:
        raise Forbidden("it is no URL") from error
    if found.scheme not in {"http", "https"} or not host or not port:
        raise Forbidden("only http and https URLs are fetched")
    if found.user is not None or found.password is not None:
        raise Forbidden("a URL must not have a user name or a password")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return found
    if not public(str(literal), allowed):
        raise Forbidden("its address is not a public one")
    return found


class Public(AbstractResolver):
    """Finds public addresses only; what it has found is what is connected to."""

    def __init__(
        self, allowed: Sequence[Network] = (), names: AbstractResolver | None = None
    ) -> None:
        """Take networks that are allowed beside, and who knows names: the system does."""
        self._allowed = allowed
        self._names = names or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises Forbidden when one is not public."""
        found = await self._names.resolve(host, port, family)
        if not all(public(each["host"], self._allowed) for each in found):
            raise Forbidden("its address is not a public one")
        return found

    async def close(self) -> None:
        """Let go."""
        await self._names.close()


@dataclass(frozen=True, slots=True)
class Outside:
    """A way to the internet and to nothing else. Times are in seconds."""

    session: ClientSession
    allowed: tuple[Network, ...] = ()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        allowed: Sequence[str] = (),
        seconds: float = 60,
        names: AbstractResolver | None = None,
    ) -> AsyncIterator["Outside"]:
        """Give one; ``allowed`` are networks that may be reached though they are not public."""
        networks = tuple(ipaddress.ip_network(each) for each in allowed)
        connector = TCPConnector(
            resolver=Public(networks, names), use_dns_cache=False, force_close=True
        )
        patience = ClientTimeout(total=seconds, sock_connect=10)
        async with ClientSession(
            connector=connector,
            timeout=patience,
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={"user-agent": "modelops", "accept-encoding": "identity"},
        ) as session:
            yield cls(session, networks)

    @asynccontextmanager
    async def get(self, url: str) -> AsyncIterator[ClientResponse]:
        """Give the answer, following redirects to what may be asked as well; raises Forbidden."""
        target = checked(url, self.allowed)
        for _ in range(MOST_REDIRECTS + 1):
            async with self.session.get(target, allow_redirects=False) as answer:
                to = answer.headers.get("location")
                if answer.status not in REDIRECTS or to is None:
                    yield answer
                    return
            target = checked(str(target.join(URL(to))), self.allowed)
        raise Forbidden(f"it redirects more than {MOST_REDIRECTS} times")

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Send a body; return the answer's status, wherever it may redirect to."""
        target = checked(url, self.allowed)
        async with self.session.post(
            target, data=body, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status
