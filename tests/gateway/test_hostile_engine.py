"""Engines that break: before, in the middle of and instead of an answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import pytest

from gateway.conftest import model
from gateway.engine import Engine, engine
from gateway.proxy import Gateway, until

CHAT = {"model": "llama-8b", "messages": []}


@contextmanager
def speaking(answer: bytes) -> Iterator[int]:
    """Run a server that says these bytes to whoever asks, and hangs up; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller:
                        caller.recv(65536)
                        caller.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


OK = b"HTTP/1.1 200 OK\r\n"
ENDS = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
NONSENSE = {
    "no HTTP": (b"hello\r\n\r\n", 502, "model_broken"),
    "nothing": (b"", 503, "model_unavailable"),
    "half a head": (OK + b"Content-Le", 502, "model_broken"),
    "endless headers": (OK + b"X: " + b"x" * 200_000 + b"\r\n\r\n", 502, "model_broken"),
    "two ends": (OK + ENDS + b"0\r\n\r\n", 502, "model_broken"),
}  # fmt: skip


@pytest.mark.parametrize("kind", NONSENSE)
def test_an_engine_that_speaks_nonsense_is_told_of(front: Gateway, kind: str) -> None:
    """What an engine says that is no answer becomes one in OpenAI's shape."""
    said, status, code = NONSENSE[kind]
    name = f"odd-{list(NONSENSE).index(kind)}"
    with speaking(said) as port, front.client(front.key("*")) as client:
        front.serve(models=(model(name, port),))
        until(lambda: client.get(f"/v1/models/{name}").status_code == 200, 5)
        answer = client.post("/v1/completions", json={"model": name})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["type"] == "server_error"


def test_all_replicas_die_and_one_comes_back(front: Gateway, fake: Engine) -> None:
    """503 with Retry-After while there is none, other models unharmed, and 200 soon after."""
    with engine() as brief:
        models = (model("frail", brief.port), model("llama-8b", fake.port))
        front.serve(models=models)
        with front.client(front.key("*")) as client:
            until(lambda: client.get("/v1/models/frail").status_code == 200, 5)
            assert client.post("/v1/completions", json={"model": "frail"}).status_code == 200
    with front.client(front.key("*")) as client:
        answers = [client.post("/v1/completions", json={"model": "frail"}) for _ in range(10)]
        assert {a.status_code for a in answers} == {HTTPStatus.SERVICE_UNAVAILABLE}
        assert all(int(a.headers["retry-after"]) > 0 for a in answers)
        assert client.post("/v1/completions", json=CHAT).status_code == 200
        front.serve(models=(model("frail", fake.port), models[1]))
        until(
            lambda: client.post("/v1/completions", json={"model": "frail"}).status_code == 200, 10
        )
