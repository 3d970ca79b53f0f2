"""A fake hub with one model, and a cache to fetch it into."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from e2e.hub.server import Body, Hub
from fetch.model import files, write
from modelops.fetch.events import Events
from modelops.fetch.order import Order
from modelops.fetch.store import Patience
from modelops.fetch.work import work

QUICK = Patience(
    connect_seconds=1,
    stall_seconds=1,
    attempts=3,
    first_wait_seconds=0.01,
    longest_wait_seconds=0.02,
)
NAME = "acme/tiny"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials or endpoints but those that a test sets."""
    for name in ("HF_TOKEN", "HF_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True)
class Place:
    """A model's source, a cache, and a link for the engine."""

    root: Path
    order: Order

    def fetch(self, **changes: Any) -> dict[str, Any]:
        """Fetch and return the done event."""
        order = replace(self.order, **changes)
        return dict(work(order, Events(io.StringIO())))

    @property
    def model(self) -> Path:
        """What the engine sees."""
        return self.order.link

    @property
    def cache(self) -> Path:
        """The cache's folder."""
        assert self.order.cache
        return self.order.cache

    @property
    def artifacts(self) -> list[dict[str, Any]]:
        """What is known of the complete snapshots."""
        return [json.loads(p.read_text()) for p in self.cache.glob("snapshots/*/artifact.json")]


@pytest.fixture
def content() -> dict[str, bytes]:
    """The files of the model."""
    return files(300_000, 200_000)


@pytest.fixture
def repository(tmp_path: Path, content: dict[str, bytes]) -> Path:
    """The folder that the hub serves as acme/tiny."""
    return write(tmp_path / "hub" / NAME, content)


@pytest.fixture
def serve(tmp_path: Path, repository: Path) -> Iterator[Callable[..., Hub]]:
    """Starts a hub; ``body`` changes what it sends, ``token`` is the one that is right."""
    del repository
    with ExitStack() as stack:

        def start(body: Body | None = None, token: str | None = None) -> Hub:
            hub = Hub(tmp_path / "hub", token, body or (lambda _, chunks: chunks))
            return stack.enter_context(hub)

        yield start


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A cache and a link for acme/tiny; the endpoint is still to be set."""
    order = Order(
        uri=f"hf://{NAME}",
        link=tmp_path / "weights" / "model",
        cache=tmp_path / "cache",
        patience=QUICK,
    )
    return Place(tmp_path, order)
