"""Versity's S3 gateway over a folder."""

import fcntl
import os
import secrets
import signal
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


@dataclass
class Gateway:
    """An S3 server on a port; each folder below its root is a bucket."""

    host: str
    port: int
    folder: Path
    access_key: str = field(default_factory=lambda: secrets.token_hex(8))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(16))
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What clients need in their environment."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Serve the folder; return when connections are taken."""
        command = (binary(), "--port", f"{self.host}:{self.port}", "--quiet", "posix")
        backend = ("--sidecar", self.folder / "meta", self.folder / "data")
        keys = {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, *backend],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"HOME": str(self.folder), **keys},
            )
        _wait(self.process, self.host, self.port, self.folder / "log")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, if it runs."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait()


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
    gateway = Gateway(host, port, folder)
    for name in ("data", "meta"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()


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
