"""The operator as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from plaintext import NO_TLS

MAIN = Path(__file__).parents[2] / "operator" / "main.py"
IMAGES = {
    name: f"{name}:test"
    for name in (
        "modelops",
        "vllm-cpu",
        "llama-cpp",
        "llm-compressor",
        "llama-cpp-builder",
        "ray-diffusers-cpu",
    )
}
Found = TypeVar("Found")


def eventually(look: Callable[[], Found], seconds: float = 60, what: str = "") -> Found:
    """Return the first true result of looking; fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} seconds: {what or look.__name__}"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OperatorProcess:
    """One running operator, its log and its endpoints."""

    def __init__(
        self, kubeconfig: Path, namespace: str, log: Path, main: Path = MAIN, **settings: str
    ) -> None:
        self.log = log
        self.health, self.metrics = free_port(), free_port()
        chosen = {
            "IMAGES": json.dumps(IMAGES),
            "LEASE_NAMESPACE": namespace,
            "LEASE_SECONDS": "15",
            "BIND_ADDRESS": "127.0.0.1",
            "HEALTH_PORT": str(self.health),
            "METRICS_PORT": str(self.metrics),
            **settings,
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MODELOPS_")}
        variables = {f"MODELOPS_{name}": value for name, value in chosen.items()}
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, str(main)],
                env={**inherited, **variables, "KUBECONFIG": str(kubeconfig)},
                stderr=stream,
            )

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log so far; every line is a JSON object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def said(self, words: str) -> bool:
        """Tell whether a line of the log has the words."""
        return words in self.log.read_text()

    @property
    def leads(self) -> bool:
        """Whether this operator leads."""
        return self._says("modelops_leader 1.0")

    @property
    def stands_by(self) -> bool:
        """Whether this operator waits for the leadership."""
        return self._says("modelops_leader 0.0")

    def _says(self, line: str) -> bool:
        try:
            return line in self.scrape()
        except httpx.TransportError:
            return False

    def scrape(self) -> str:
        """Return the metrics."""
        return httpx.get(f"http://127.0.0.1:{self.metrics}/metrics", verify=NO_TLS).text

    @property
    def passes(self) -> int:
        """How many passes this operator has done."""
        counts = (x for x in self.scrape().splitlines() if x.startswith("modelops_passes_total{"))
        return int(sum(float(line.split()[-1]) for line in counts))

    def probe(self) -> httpx.Response:
        """Return the answer of the liveness endpoint."""
        return httpx.get(f"http://127.0.0.1:{self.health}/healthz", verify=NO_TLS)

    def ready(self) -> "OperatorProcess":
        """Wait until this operator leads."""
        eventually(lambda: self.leads, what=f"an operator leads: {self.log}")
        return self

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory is short."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        """SIGTERM, as the kubelet does; return the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=15)

    def wait(self, seconds: float) -> int:
        """Wait for its end; return the exit code."""
        return self._process.wait(timeout=seconds)

    def close(self) -> None:
        """Make sure that it is gone."""
        if self._process.poll() is None:
            self.kill()
