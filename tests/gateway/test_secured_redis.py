"""A real Redis that wants a password and speaks TLS."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.certificates import certificate
from gateway.proxy import free_ports
from gateway.redisd import Server, server
from modelops.gateway.limiter.limits import Limit
from modelops.gateway.limiter.shared import Shared
from modelops.redis import Address

LIMIT = Limit("requests", "key", "k", 5)


class Gauge:
    """What is shown last."""

    value = -1.0

    def set(self, value: float) -> None:
        """Show it."""
        self.value = value


def counted(address: Address) -> bool:
    """Tell whether Redis, and not the pod by itself, counts a request."""

    async def ask() -> float:
        redis, gauge = address.client(), Gauge()
        await Shared(redis, "pod", gauge).take([LIMIT], "lease")
        await redis.aclose()
        return gauge.value

    return asyncio.run(ask()) == 1


@contextmanager
def secured(folder: Path) -> Iterator[tuple[Server, int]]:
    """Run a Redis with the password `first` and give it with its port of TLS."""
    data, (port,) = folder / "data", free_ports(1)
    data.mkdir()
    certificate(data, "redis")
    tls = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    files = ["--tls-cert-file", str(data / "tls.crt"), "--tls-key-file", str(data / "tls.key")]
    with server(data, "--requirepass", "first", *tls, *files) as running:
        yield running, port


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int, Path]]:
    """A Redis, its port of TLS, and its certificate."""
    folder = tmp_path_factory.mktemp("redis")
    with secured(folder) as (running, port):
        yield running, port, folder / "data" / "tls.crt"


def test_a_password_of_the_url_or_of_the_secret_lets_in(
    redis: tuple[Server, int, Path], tmp_path: Path
) -> None:
    """Without it each pod counts by itself; a line's end after it does no harm."""
    running, _, _ = redis
    bare = running.url
    told = bare.replace("//", "//:first@")
    (tmp_path / "password").write_text("first\n")
    assert counted(Address(told))
    assert counted(Address(bare, tmp_path))
    assert not counted(Address(bare))
    (tmp_path / "username").write_text("somebody")
    assert not counted(Address(bare, tmp_path))
    (tmp_path / "username").write_text("default")
    assert counted(Address(bare, tmp_path))


def test_tls_is_for_a_redis_that_an_authority_vouches_for(
    redis: tuple[Server, int, Path], tmp_path: Path
) -> None:
    """A certificate of an unknown authority is refused; `ca.crt` names the authority."""
    _, port, authority = redis
    address = Address(f"rediss://:first@127.0.0.1:{port}/0", tmp_path)
    assert not counted(address)
    (tmp_path / "ca.crt").write_bytes(authority.read_bytes())
    assert counted(address)


def test_a_password_that_changes_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    """The next connection is made with what the Secret says then; a spoilt one lets nobody in."""

    async def story(running: Server) -> None:
        redis, gauge = Address(running.url, tmp_path).client(), Gauge()
        for text, up in ((b"second", 0), (b"\xff\xfe", 0), (b"first", 1)):
            (tmp_path / "password").write_bytes(text)
            await redis.connection_pool.disconnect()
            await Shared(redis, "pod", gauge).take([LIMIT], "lease")
            assert gauge.value == up, text
        (tmp_path / "password").unlink()
        await redis.connection_pool.disconnect()
        await Shared(redis, "pod", gauge).take([LIMIT], "lease")
        assert gauge.value == 0
        await redis.aclose()

    (tmp_path / "password").write_text("x")
    with secured(tmp_path) as (running, _):
        asyncio.run(story(running))
