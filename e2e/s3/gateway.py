"""Versity's S3 gateway over a folder."""

import fcntl
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from e2e.cluster import golang
from e2e.cluster.places import Places

_START_SECONDS = 20


@dataclass(frozen=True)
class Gateway:
    """A running S3 server; each folder below its root is a bucket."""

    url: str
    access_key: str = field(default_factory=lambda: secrets.token_hex(8))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def environment(self) -> dict[str, str]:
        """What clients need in their environment."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }


def binary() -> Path:
    """Return the server's binary: MODELOPS_VERSITYGW, or built once from its Go module."""
    given = os.environ.get("MODELOPS_VERSITYGW")
    if given:
        return Path(given)
    places = Places.of_environment()
    places.cache.mkdir(parents=True, exist_ok=True)
    with (places.cache / ".versitygw.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        golang.build((golang.VERSITYGW,), places.store, places.bin)
    return places.bin / golang.VERSITYGW.name


@contextmanager
def running(folder: Path, host: str = "127.0.0.1") -> Iterator[Gateway]:
    """Serve a folder until the end of the block."""
    with socket.create_server((host, 0)) as free:
        port = free.getsockname()[1]
    gateway = Gateway(f"http://{host}:{port}")
    for name in ("data", "meta"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    command = (binary(), "--port", f"{host}:{port}", "--quiet", "posix")
    backend = ("--sidecar", folder / "meta", folder / "data")
    keys = {"ROOT_ACCESS_KEY": gateway.access_key, "ROOT_SECRET_KEY": gateway.secret_key}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, *backend],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"HOME": str(folder), **keys},
        )
    try:
        _wait(process, host, port, folder / "log")
        yield gateway
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], host: str, port: int, log: Path) -> None:
    """Return when the server takes connections."""
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the S3 server did not start: {log.read_text()}")
