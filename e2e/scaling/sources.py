"""What KEDA can be told to look at: a real Prometheus and a real Redis, on this machine."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from e2e.cluster import debian, golang
from e2e.cluster.places import Places

HOST = "198.18.0.1"
"""The node, where pods find this machine."""

START_SECONDS = 60


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        return int(free.getsockname()[1])


@dataclass
class Figure:
    """A figure that Prometheus scrapes; None: nobody tells it."""

    value: int | None = 0


@contextmanager
def figure() -> Iterator[tuple[Figure, int]]:
    """Tell a figure, `jobs_waiting`, as an exporter does; give it and the port."""
    told = Figure()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = "" if told.value is None else f"jobs_waiting {told.value}\n"
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((HOST, 0), Page)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield told, int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Process:
    """A server that can go away and come back at the same port."""

    port: int
    command: tuple[str, ...]
    log: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.command[0]} did not start: {self.log.read_text()}")
            time.sleep(0.05)

    def _listens(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it."""
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None


@contextmanager
def prometheus(folder: Path, scraped: int) -> Iterator[Process]:
    """Run Prometheus, which scrapes a port of this machine every second."""
    places = Places.of_environment()
    golang.build((golang.PROMETHEUS,), places.store, places.bin)
    port = _free_port()
    targets = [{"targets": [f"{HOST}:{scraped}"]}]
    settings = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "jobs", "static_configs": targets}],
    }
    (folder / "prometheus.json").write_text(json.dumps(settings))  # JSON is YAML
    command = (
        str(golang.stored(golang.PROMETHEUS, places.store)),
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
    )
    server = Process(port, command, folder / "prometheus.log")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def redis(folder: Path, password: str) -> Iterator[Process]:
    """Run Redis, which wants a password."""
    if not shutil.which("redis-server"):
        debian.install(("redis-server",))
    port = _free_port()
    words = ("--bind", HOST, "--port", str(port), "--save", "", "--requirepass", password)
    server = Process(port, ("redis-server", *words, "--dir", str(folder)), folder / "redis.log")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def ask_redis(server: Process, password: str, *words: str) -> str:
    """Send Redis a command, and return what it says."""
    command = ("redis-cli", "-h", HOST, "-p", str(server.port), *words)
    env = {**os.environ, "REDISCLI_AUTH": password}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
