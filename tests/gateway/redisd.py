"""A real Redis on loopback, which can go away and come back."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.proxy import free_ports, until

APT = ("apt-get", "install", "-qq", "-y", "--no-install-recommends", "redis-server")


def binary() -> str:
    """Return redis-server, from Debian where it is missing."""
    if not shutil.which("redis-server"):
        subprocess.run(APT, check=True, capture_output=True)
    found = shutil.which("redis-server")
    assert found
    return found


@dataclass
class Server:
    """Redis at a port; what it counts does not survive it."""

    port: int
    folder: Path
    flags: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Begin, empty, and wait until it answers."""
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        command = [binary(), *words, str(self.folder), *self.flags]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self._answers, 15)

    def stop(self) -> None:
        """End at once."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@contextmanager
def server(folder: Path, *flags: str) -> Iterator[Server]:
    """Run one."""
    made = Server(free_ports(1)[0], folder, flags)
    made.start()
    try:
        yield made
    finally:
        made.stop()
