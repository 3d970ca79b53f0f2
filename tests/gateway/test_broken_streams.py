"""Streams whose engine dies or falls silent: their callers are told so, in an event."""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.conftest import model
from gateway.dying import HEAD, dying
from gateway.engine import Engine
from gateway.proxy import Gateway, gateway, until
from gateway.test_limits import Pair, chat, pods
from gateway.test_usage import counts, spent
from modelops.gateway.answers import BROKEN_OFF, event
from plaintext import NO_TLS

EVENT = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
USED = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9}}\n\n'
SAID = {
    "nothing": (),
    "an event": (EVENT,),
    "events": (EVENT, EVENT + EVENT),
    "half an event": (EVENT, EVENT[:20]),
    "an event in pieces": (EVENT[:9], EVENT[9:], EVENT[:-1]),
}
CASES = [("ends", said) for said in SAID] + [
    (way, "half an event") for way in ("resets", "babbles")
]
CHAT = "/v1/chat/completions"
BROKEN = event(BROKEN_OFF)["plain"].encode()
LARGE = b"x" * 100_000


def served(front: Gateway, port: int) -> str:
    """Have an engine be a model of its own; return the model's name."""
    name = f"frail-{port}"
    front.serve(models=(model(name, port),))
    with front.client(front.key("*")) as client:
        until(lambda: client.get(f"/v1/models/{name}").status_code == 200, 5)
    return name


def broken(
    front: Gateway, way: str, *said: bytes, head: bytes = HEAD, path: str = CHAT,
    version: str = "1", **request: Any,
) -> bytes:  # fmt: skip
    """Have an engine say this and die once its caller has heard some; return all that came.

    What comes together with an engine's death may be lost with it.
    """
    some = threading.Event()
    if not said and head == HEAD:
        some.set()
    with dying(way, *said, head=head, heard=some) as port:
        asked = {"model": served(front, port), "stream": True, **request}
        return heard(front, asked, path, version, some)


def heard(
    front: Gateway, request: dict[str, Any], path: str, version: str, some: threading.Event
) -> bytes:
    """Return all that comes of a stream, which must not end in order; tell when some did."""
    bearer = {"Authorization": f"Bearer {front.key('*')}"}
    versions = {"http1": version == "1", "http2": version == "2"}
    came = bytearray()
    with (
        httpx.Client(base_url=front.url, headers=bearer, verify=NO_TLS, **versions) as client,
        client.stream("POST", path, json=request) as answer,
    ):
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            _read(answer, came, some)
    return bytes(came)


def _read(answer: httpx.Response, into: bytearray, some: threading.Event) -> None:
    for piece in answer.iter_raw():
        into += piece
        some.set()


def last(came: bytes) -> dict[str, Any]:
    """Return the last event."""
    assert came.endswith(b"\n\n")
    found: dict[str, Any] = json.loads(came.removesuffix(b"\n\n").rpartition(b"data: ")[2])
    return found


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(("way", "said"), CASES)
def test_a_stream_that_breaks_off_ends_with_an_error(
    front: Gateway, way: str, said: str, version: str
) -> None:
    """Who reads it gets each whole event, then one in OpenAI's shape, and no end in order."""
    came = broken(front, way, *SAID[said], version=version)
    whole = b"".join(SAID[said]).rpartition(b"\n\n")
    before = b"".join(whole[:2])
    assert came.startswith(before + b'data: {"error"')
    error = last(came)["error"]
    assert (error["type"], error["param"], error["code"]) == ("server_error", None, "model_broken")
    assert "Ask again" in error["message"]


@pytest.mark.parametrize("asked", ["true", "false"])
def test_whether_usage_was_asked_for_makes_no_difference(front: Gateway, asked: str) -> None:
    """What was told of usage before is passed on or hidden as ever, and counts."""
    before = counts(front)
    options = {"include_usage": json.loads(asked)}
    came = broken(front, "resets", EVENT, USED, EVENT[:9], stream_options=options)
    seen = EVENT + USED if asked == "true" else EVENT
    assert came.startswith(seen + b'data: {"error"')
    until(lambda: bool(spent(front, before)), 5)
    assert spent(front, before) == {"requests": 1, "input_tokens": 7, "output_tokens": 9}


def test_a_response_breaks_off_with_an_event_of_its_own_kind(front: Gateway) -> None:
    """In the Responses API events have types: this one's is `error`."""
    said = b"event: response.created\n" + EVENT
    came = broken(front, "ends", said, path="/v1/responses")
    assert b"\n\nevent: error\ndata: " in came
    told = last(came)
    assert (told["type"], told["code"]) == ("error", "model_broken")
    assert told["error"]["code"] == "model_broken"


@pytest.mark.parametrize("said", [(LARGE,), (EVENT, b"data: [DONE]\n\n"), (b"data: [DONE]",)])
def test_no_error_follows_a_part_of_an_event_or_the_last(
    front: Gateway, said: tuple[bytes, ...]
) -> None:
    """What cannot be told in an event of its own, or matters to nobody any more, is not."""
    assert broken(front, "ends", *said) == b"".join(said)


def test_an_answer_that_is_no_stream_is_broken_off(front: Gateway) -> None:
    """JSON that breaks off gets nothing that its reader could take for JSON."""
    head = HEAD.replace(b"text/event-stream", b"application/json")
    assert broken(front, "ends", b'{"choices":', head=head) == b'{"choices":'


def test_a_stream_whose_length_was_told_can_still_tell(front: Gateway) -> None:
    """An engine that told how long its stream is, and dies before, does not keep the error out."""
    head = HEAD.replace(b"Transfer-Encoding: chunked", b"Content-Length: 999") + EVENT
    assert broken(front, "ends", head=head).startswith(EVENT + b'data: {"error"')


@pytest.mark.parametrize("version", ["1", "2"])
def test_an_engine_that_falls_silent_is_told_of(tmp_path: Path, version: str) -> None:
    """A stream that does not go on in time ends with an event that says so."""
    with gateway(tmp_path, silent_seconds=1) as quick:
        came = broken(quick, "falls silent", EVENT, version=version)
    assert came.startswith(EVENT)
    assert last(came)["error"]["code"] == "model_timeout"


ENGINE = f"""
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
caller, _ = server.accept()
caller.recv(65536)
caller.sendall({HEAD!r})
while True:
    piece = {EVENT!r}
    caller.sendall(b"%x\\r\\n%s\\r\\n" % (len(piece), piece))
    sys.stdin.read(1)
"""


def test_a_process_that_is_killed(front: Gateway) -> None:
    """An engine that SIGKILL ends in the middle of a stream is told of like any other."""
    pipe = subprocess.PIPE
    with subprocess.Popen((sys.executable, "-c", ENGINE), stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        name = served(front, int(process.stdout.readline()))
        bearer = {"Authorization": f"Bearer {front.key('*')}"}
        with (
            httpx.Client(base_url=front.url, headers=bearer, verify=NO_TLS) as client,
            client.stream("POST", CHAT, json={"model": name, "stream": True}) as answer,
        ):
            came = answer.iter_raw()
            assert next(came) == EVENT
            process.send_signal(signal.SIGKILL)
            assert last(next(came))["error"]["code"] == "model_broken"


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, fake: Engine) -> Iterator[Pair]:
    """Gateway pods that count requests."""
    with pods(tmp_path_factory.mktemp("limited"), fake, "Open") as running:
        yield running


def test_what_breaks_off_gives_its_place_back(limited: Pair) -> None:
    """A key for one request at a time can ask again after each stream that broke off."""
    key = limited.key(parallel=1)
    pod = limited.pods[0].envoy
    body = {"model": "llama-8b", "stream": True, "dies": 2}
    for _ in range(3):
        with pod.client(key) as client, client.stream("POST", CHAT, json=body) as answer:
            assert answer.status_code == 200
            with suppress(httpx.RemoteProtocolError):
                assert b"model_broken" in b"".join(list(answer.iter_raw()))
        until(lambda: chat(pod, key).status_code == 200, 10)
        until(lambda: not sum(pod.stats("cluster.team.llama-8b.upstream_rq_active").values()), 10)


def test_thousands_that_break_off_at_once_harm_nothing(front: Gateway) -> None:
    """Each stream is told once that it broke off, counted once, and Envoy lives on."""
    before, times, key = counts(front), 2000, front.key("*")
    with dying("resets", EVENT, EVENT[:9]) as port, ThreadPoolExecutor(16) as pool:
        name = served(front, port)
        found = Counter(pool.map(lambda n: _told(front, key, name, "12"[n % 2]), range(times)))
    assert found == {EVENT + BROKEN: times}
    until(lambda: spent(front, before).get("estimated_requests") == times, 10)
    until(
        lambda: not sum(front.stats("upstream_rq_active|gateway.downstream_rq_active").values()), 10
    )


def _told(front: Gateway, key: str, name: str, version: str) -> bytes:
    """Return what comes of a stream until its error does; HTTP/1.1 ends it a second later."""
    bearer = {"Authorization": f"Bearer {key}"}
    versions = {"http1": version == "1", "http2": version == "2"}
    came = b""
    with (
        httpx.Client(base_url=front.url, headers=bearer, verify=NO_TLS, **versions) as client,
        client.stream("POST", CHAT, json={"model": name, "stream": True}) as answer,
    ):
        for piece in answer.iter_raw():
            came += piece
            if came.endswith(BROKEN):
                break
    return came
