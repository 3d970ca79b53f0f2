"""How a gateway pod goes: without cutting a request short."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.conftest import model
from gateway.engine import EVENTS, Engine
from gateway.proxy import Gateway, gateway, until
from plaintext import NO_TLS

DRAIN = Path(__file__).parents[2] / "runtimes" / "envoy" / "drain.py"
BODY = {"model": "chat", "stream": True, "gated": True}


def draining(going: Gateway, most: float) -> "subprocess.Popen[bytes]":
    """Start what the pod runs before Envoy is stopped."""
    admin = f"http://127.0.0.1:{going.front.admin_port}"
    return subprocess.Popen([sys.executable, str(DRAIN), admin, "0", str(most)])


@pytest.fixture
def stream(tmp_path: Path, fake: Engine) -> tuple[Gateway, httpx.Response]:
    """A gateway of its own with an open stream."""
    with gateway(tmp_path) as going, going.client(going.key("*")) as client:
        going.serve(models=(model("chat", fake.port),))
        until(lambda: client.get("/v1/models/chat").status_code == 200, 5)
        with client.stream("POST", "/v1/chat/completions", json=BODY) as answer:
            yield going, answer


def test_open_streams_end_before_the_gateway_does(
    stream: tuple[Gateway, httpx.Response], fake: Engine
) -> None:
    """A stream goes on while the pod drains, new connections are turned away, then it may stop."""
    going, answer = stream
    with draining(going, most=20) as drain:
        ready = f"http://127.0.0.1:{going.front.metrics_port}/ready"
        until(lambda: httpx.get(ready, verify=NO_TLS).status_code == 503, 10)
        with going.client(going.key("*")) as client:
            assert client.get("/v1/models").headers["connection"] == "close"
        assert drain.poll() is None
        for _ in range(EVENTS):
            fake.release()
        lines = [line for line in answer.iter_lines() if line]
        assert json.loads(lines[-2].removeprefix("data: ")) == {"n": EVENTS - 1}
        assert drain.wait(10) == 0


def test_a_stream_without_end_does_not_hold_the_gateway_for_ever(
    stream: tuple[Gateway, httpx.Response],
) -> None:
    """When the time is over the pod goes, and says by its exit code that it cut a request."""
    going, _ = stream
    with draining(going, most=0.5) as drain:
        assert drain.wait(10) == 1
