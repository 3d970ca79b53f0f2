"""The load: the Go program's clients against one proxy, and what that cost the proxy."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from e2e.bench.gateway.process import Process, Sides
from e2e.cluster import golang
from e2e.cluster.places import Places
from e2e.cluster.shell import ClusterError

PATIENCE_SECONDS = 30.0
PROGRAM = golang.Binary("gatewaybench", str(Path(__file__).parent / "go"), ".", "v1")


def program() -> Path:
    """Return the fake engine and load generator, built once."""
    places = Places.of_environment()
    golang.build((PROGRAM,), places.store, places.bin)
    return golang.stored(PROGRAM, places.store)


@dataclass(frozen=True, slots=True)
class Target:
    """What clients send to: a port of loopback, an API key, models to name in turn."""

    port: int
    key: str = ""
    models: tuple[str, ...] = ("fake",)

    @property
    def flags(self) -> list[str]:
        """The same, for the program."""
        models = ",".join(self.models)
        return [f"-to=127.0.0.1:{self.port}", f"-key={self.key}", f"-models={models}"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement: requests per second, CPU per request, time to the first byte."""

    rate: float
    cpu_microseconds: float
    first_p50_ms: float
    first_p99_ms: float


def loaded(target: Target, proxy: Process | None, sides: Sides, *flags: str) -> Reading:
    """Load a proxy and return what was measured; raises ClusterError when an answer is wrong."""
    before = proxy.cpu_seconds if proxy else 0.0
    told = json.loads(_run("load", target, sides, *flags))
    used = (proxy.cpu_seconds if proxy else 0.0) - before
    if told["errors"] or not told["requests"]:
        raise ClusterError(f"{told['errors']} requests failed: {told['last_error']}")
    return Reading(
        told["requests"] / told["seconds"],
        1e6 * used / told["requests"],
        told["first_p50_ms"],
        told["first_p99_ms"],
    )


def answered(target: Target) -> float:
    """Wait until the first model answers and return how many seconds that took.

    Raises ClusterError with what was answered instead.
    """
    body = {"model": target.models[0], "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"Authorization": f"Bearer {target.key}"} if target.key else {}
    started, last = time.monotonic(), "nothing"
    with httpx.Client(base_url=f"http://127.0.0.1:{target.port}", timeout=5) as client:
        while time.monotonic() - started < PATIENCE_SECONDS:
            with suppress(httpx.TransportError):
                answer = client.post("/v1/chat/completions", json=body, headers=headers)
                if answer.is_success:
                    return time.monotonic() - started
                last = answer.text
            time.sleep(0.002)
    raise ClusterError(f"port {target.port} does not answer a chat but says: {last[:500]}")


def _run(command: str, target: Target, sides: Sides, *flags: str) -> str:
    words: list[str | Path] = [program(), command, *target.flags, *flags]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, **_placed(sides))
    return str(done.stdout)


@contextmanager
def held(target: Target, sides: Sides, number: int) -> Iterator[None]:
    """Have so many streams open, each with an event in ten seconds, within the context."""
    flags = ["-stream", f"-clients={number}", "-tokens=1000", "-pause=10000"]
    with subprocess.Popen(
        [program(), "hold", *target.flags, *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **_placed(sides),
    ) as clients:
        assert clients.stdout
        assert clients.stdin
        assert clients.stderr
        if clients.stdout.readline() != "open\n":
            raise ClusterError(f"{number} streams could not be opened: {clients.stderr.read()}")
        try:
            yield
        finally:
            clients.stdin.close()


def _placed(sides: Sides) -> dict[str, Any]:
    return {
        "preexec_fn": lambda: os.sched_setaffinity(0, sides.rest),
        "env": {**os.environ, "GOMAXPROCS": str(len(sides.rest))},
    }
