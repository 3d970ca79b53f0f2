"""What strangers may name."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from modelops.jobs.outside import Forbidden, Outside, checked, public

HIDDEN = (
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:7f00:1::", "ff02::1",
    "198.18.0.1", "::7f00:1", "fe80::1%eth0",
)  # fmt: skip


@pytest.mark.parametrize("address", HIDDEN)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    """Private, local, link-local, metadata, and IPv4 in the dress of IPv6: none is asked."""
    assert not public(address)


def test_public_addresses_pass() -> None:
    """The internet may be asked, and what is allowed beside."""
    assert public("93.184.216.34")
    assert public("2606:2800:220:1:248:1893:25c8:1946")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.com/a", "http://", "//x", "http://127.0.0.1/",
        "http://[::ffff:10.0.0.1]/", "http://u:p@example.com/", "gopher://x", "http://[::1]:80/",
    ],
)  # fmt: skip
def test_urls_that_are_refused_unasked(url: str) -> None:
    """Other schemes, credentials and addresses that are not public never reach the network."""
    with pytest.raises(Forbidden):
        checked(url)


@given(st.text())
def test_no_text_breaks_the_check(url: str) -> None:
    """Whatever is given as a URL is taken or refused."""
    try:
        checked(url)
    except Forbidden:
        return


class Names(AbstractResolver):
    """Names that lead where a test says; each look-up of `changing` gives the next address."""

    def __init__(self, port: int, *changing: str) -> None:
        """Take the port of a local server."""
        self.port, self.changing = port, list(changing)

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002
    ) -> list[ResolveResult]:
        """Return an address."""
        address = self.changing.pop(0) if host == "changing" else "127.0.0.1"
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Do nothing."""


async def get(url: str, names: Names, allowed: tuple[str, ...] = ()) -> str:
    """Return what is at a URL."""
    async with Outside.opened(allowed, 5, names) as outside, outside.get(url) as answer:
        return await answer.text()


def serve(story: Any) -> None:
    """Run a story beside a server on loopback."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if to := request.query.get("to"):
            raise web.HTTPFound(to)
        return web.Response(text="here")

    async def whole() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            await story(runner.addresses[0][1])
        finally:
            await runner.cleanup()

    asyncio.run(whole())


def test_a_name_of_an_inner_address_is_refused() -> None:
    """What a name leads to is looked at; a network may be allowed."""

    async def story(port: int) -> None:
        with pytest.raises(Forbidden):
            await get(f"http://inner:{port}/", Names(port))
        assert await get(f"http://inner:{port}/", Names(port), ("127.0.0.0/8",)) == "here"

    serve(story)


def test_redirects_are_looked_at_again() -> None:
    """A redirect into the platform is refused, also where the first place was allowed."""

    async def story(port: int) -> None:
        inner = f"http://localhost:{port}/?to=http://169.254.169.254/latest"
        with pytest.raises(Forbidden):
            await get(inner, Names(port), ("127.0.0.0/8",))
        around = f"http://localhost:{port}/?to=/%3Fto=/%3Fto=/"
        assert await get(around, Names(port), ("127.0.0.0/8",)) == "here"

    serve(story)


def test_a_name_that_changes_is_asked_once() -> None:
    """What was looked at is what is connected to: a second answer of DNS is never used."""

    async def story(port: int) -> None:
        names = Names(port, "127.0.0.1", "10.0.0.1")
        assert await get(f"http://changing:{port}/", names, ("127.0.0.0/8",)) == "here"
        assert names.changing == ["10.0.0.1"]
        with pytest.raises(Forbidden):
            await get(f"http://changing:{port}/", names, ("127.0.0.0/8",))

    serve(story)
