"""A real Redis that keeps what it is told, for jobs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.redisd import Server, server

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    """A Redis with nothing in it."""
    with server(tmp_path, *DURABLE) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for a module, to be emptied by who uses it."""
    with server(tmp_path_factory.mktemp("redis"), *DURABLE) as made:
        yield made


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A loop for a story."""
    with asyncio.Runner() as made:
        yield made
