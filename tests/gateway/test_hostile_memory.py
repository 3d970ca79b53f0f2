"""Callers with a good key who want all of a gateway's memory."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from h2.exceptions import StreamClosedError

from gateway.conftest import model
from gateway.engine import EVENTS, Engine
from gateway.proxy import Gateway, gateway, until
from gateway.raw import feed, http2, post, pseudo
from modelops.gateway.overload import HEAP_SHARE

MIB = 2**20
MEMORY = 512 * MIB
ROOM = {"largest_body": 32 * MIB}
STREAM = {"model": "llama-8b", "stream": True, "gated": True}


@pytest.fixture
def small(tmp_path: Path, fake: Engine) -> Iterator[Gateway]:
    """A gateway of its own with little memory."""
    sizes = {"largest_body": 32 * MIB, "upload_seconds": 120, "memory": MEMORY}
    with gateway(tmp_path, **sizes) as running, running.client(running.key("*")) as client:
        running.serve(models=(model("llama-8b", fake.port),))
        until(lambda: client.get("/v1/models/llama-8b").status_code == 200, 5)
        yield running


def taken(running: Gateway) -> float:
    """Return what part of its memory Envoy's heap has."""
    return running.stats(r"fixed_heap\.pressure$").popitem()[1] / 100 * HEAP_SHARE


def upload(running: Gateway, mebibytes: int) -> socket.socket:
    """Send a part of a body whose rest never comes, as far as it is taken."""
    sent = socket.create_connection(("127.0.0.1", running.front.port), 20)
    try:
        sent.sendall((post(running) + f"Content-Length: {32 * MIB}\r\n\r\n").encode())
        for _ in range(mebibytes):
            sent.sendall(b"x" * MIB)
    except ConnectionError:
        pass  # refused, or reset
    return sent


def test_uploads_do_not_kill_a_gateway(small: Gateway, fake: Engine) -> None:
    """More bodies than fit: Envoy stays within its memory, streams go on, new requests are told."""
    with (
        small.client(small.key("*")) as client,
        client.stream("POST", "/v1/chat/completions", json=STREAM) as answer,
    ):
        lines = (line for line in answer.iter_lines() if line)
        fake.release()
        assert json.loads(next(lines).removeprefix("data: ")) == {"n": 0}
        with ExitStack() as uploads:
            for _ in range(MEMORY // (4 * MIB)):
                uploads.enter_context(upload(small, 4))
                if (told := asked(small)).status_code != 200:
                    break
            assert (told.status_code, told.json()["error"]["code"]) == (503, "gateway_overloaded")
            assert int(told.headers["retry-after"]) > 0
            assert taken(small) < 1
        for _ in range(EVENTS - 1):
            fake.release()
        assert [*lines][-1] == "data: [DONE]"
    until(lambda: answered(small), 20)


def asked(running: Gateway) -> httpx.Response:
    """Return the answer to a small request."""
    with running.client(running.key("*")) as client:
        return client.post("/v1/completions", json={"model": "llama-8b"})


def answered(running: Gateway) -> bool:
    """Tell whether a small request is answered."""
    return asked(running).status_code == 200


def test_over_http2_the_largest_requests_end_first(small: Gateway) -> None:
    """Many bodies on one HTTP/2 connection are reset when memory is short; others are served."""
    with http2(small) as hungry:
        with suppress(OSError, StreamClosedError):
            for _ in range(40):
                feed(hungry, hungry.ask(pseudo(small), end=False), 16 * MIB)
        resets = "^envoy.overload_actions.reset_high_memory_stream.count"
        until(lambda: any(small.stats(resets).values()), 10)
        assert taken(small) < 1
        until(lambda: answered(small), 20)


def test_a_caller_that_does_not_read_holds_little(tmp_path: Path, fake: Engine) -> None:
    """What an engine says to somebody who does not listen is left with the engine."""
    with gateway(tmp_path, **ROOM) as served, served.client(served.key("*")) as client:
        served.serve(models=(model("llama-8b", fake.port),))
        until(lambda: client.get("/v1/models/llama-8b").status_code == 200, 5)
        said = {"model": "llama-8b", "answer": "x" * 900_000}
        deaf = [ask_and_not_read(served, said) for _ in range(50)]
        try:
            buffered = r"cluster.team.llama-8b.upstream_cx_rx_bytes_buffered"
            until(lambda: sum(served.stats(buffered).values()) > 0, 10)
            assert sum(served.stats(buffered).values()) < 50 * 2 * 256 * 1024
            assert client.post("/v1/completions", json={"model": "llama-8b"}).status_code == 200
        finally:
            for one in deaf:
                one.close()


def ask_and_not_read(served: Gateway, body: dict[str, str]) -> socket.socket:
    """Send a request on a connection that takes next to nothing."""
    asked = socket.socket()
    asked.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asked.connect(("127.0.0.1", served.front.port))
    text = json.dumps(body)
    asked.sendall(f"{post(served)}Content-Length: {len(text)}\r\n\r\n{text}".encode())
    return asked
