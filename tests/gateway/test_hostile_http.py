"""HTTP as attackers speak it: smuggling, tricks with paths, floods of headers and resets."""

import json
import socket

import h2.events
import pytest

from gateway.engine import Engine
from gateway.proxy import Gateway, until
from gateway.raw import BODY, LENGTH, Http2, exchange, http2, post, pseudo, status

HIDDEN = "POST /sleep HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"

SMUGGLED = {
    "length and chunks": [f"{LENGTH}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"],
    "chunks and length": [f"Transfer-Encoding: chunked\r\n{LENGTH}\r\n{CHUNKED}{HIDDEN}"],
    "two lengths": [f"{LENGTH}Content-Length: 0\r\n\r\n{BODY}{HIDDEN}"],
    "a list of lengths": [f"Content-Length: {len(BODY)}, 0\r\n\r\n{BODY}{HIDDEN}"],
    "a length with a sign": [f"Content-Length: +{len(BODY)}\r\n\r\n{BODY}{HIDDEN}"],
    "a negative length": [f"Content-Length: -1\r\n\r\n{BODY}{HIDDEN}"],
    "space before the colon": [f"{LENGTH}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{HIDDEN}"],
    "unknown coding": [f"Transfer-Encoding: xchunked\r\n\r\n{CHUNKED}{HIDDEN}"],
    "coding after chunks": [f"Transfer-Encoding: chunked, identity\r\n\r\n{CHUNKED}{HIDDEN}"],
    "chunks twice": [
        f"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKED}{HIDDEN}"
    ],
    "wrong chunk size": [f"Transfer-Encoding: chunked\r\n\r\n{len(BODY):x}g\r\n{BODY}\r\n{HIDDEN}"],
    "huge chunk size": [f"Transfer-Encoding: chunked\r\n\r\n{'f' * 17}\r\n{BODY}\r\n{HIDDEN}"],
    "chunks with bare LF": [f"Transfer-Encoding: chunked\r\n\r\n{len(BODY):x}\n{BODY}\n0\n\n"],
    "NUL in a header": [f"X-A: a\0b\r\n{LENGTH}\r\n{BODY}"],
}


@pytest.mark.parametrize("kind", SMUGGLED)
def test_a_request_with_two_ends_is_refused(front: Gateway, fake: Engine, kind: str) -> None:
    """Where one request ends is never a matter of opinion: 400, and no engine hears of it."""
    before = len(fake.requests)
    answer = exchange(front, post(front) + "".join(SMUGGLED[kind]))
    assert status(answer) == 400
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_http"
    assert len(fake.requests) == before


HARMLESS = {
    "a folded header": f"X-A: a\r\n Transfer-Encoding: chunked\r\n{LENGTH}\r\n{BODY}",
    "a bare CR": f"X-A: a\rTransfer-Encoding: chunked\r\n{LENGTH}\r\n{BODY}",
    "chunk extensions": "Transfer-Encoding: chunked\r\n\r\n" + CHUNKED.replace("\r", ";a=b\r", 1),
    "trailers": f"Transfer-Encoding: chunked\r\n\r\n{CHUNKED[:-2]}Authorization: x\r\n\r\n",
    "a length to be forgotten": f"Connection: content-length\r\n{LENGTH}\r\n{BODY}",
    "HTTP/2 cleartext": f"Connection: Upgrade\r\nUpgrade: h2c\r\n{LENGTH}\r\n{BODY}",
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_is_odd_and_allowed_is_one_plain_request_to_the_engine(
    front: Gateway, fake: Engine, kind: str
) -> None:
    """Engines get each request written anew: one body with one length, and nothing hidden in it."""
    before = len(fake.requests)
    answer = exchange(front, post(front) + HARMLESS[kind])
    assert status(answer) == 200
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["got"] == json.loads(BODY)
    ((method, path, headers),) = fake.requests[before:]
    assert (method, path) == ("POST", "/v1/chat/completions")
    names = {name.lower() for name in headers}
    assert not names & {"upgrade", "trailer", "authorization", "http2-settings"}
    assert len(names & {"content-length", "transfer-encoding"}) == 1


def test_envoys_own_headers_are_not_for_callers(front: Gateway, fake: Engine) -> None:
    """Nobody sets timeouts, retries or paths by headers that Envoy takes from its own kind."""
    names = (
        "x-envoy-retry-on", "x-envoy-max-retries", "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-alt-stat-name",
        "x-envoy-original-path", "x-envoy-internal", "x-envoy-decorator-operation",
        "x-envoy-hedge-on-per-try-timeout", "x-envoy-force-trace",
    )  # fmt: skip
    more = [f"{name}: 1" for name in names]
    assert status(exchange(front, post(front, *more) + f"{LENGTH}\r\n{BODY}")) == 200
    assert not {name.lower() for name in fake.requests[-1][2]} & set(names)


TRICKS = [
    "/v1/chat/completions%2f..%2f..%2f..%2fsleep", "/v1/models/..%2f..%2fsleep", "/%2e%2e%2fsleep",
    "/v1/models/%2e%2e%2f%2e%2e%2fsleep", "/v1/chat/completions%252f", "/v1/chat/completions%3f/x",
    "/v1/chat/completions%00", "/v1/chat/completions%23", "/v1/chat/completions/..;/sleep",
    "/v1%252fchat/completions", "/v1/CHAT/completions", "*", "sleep",
    "/v1/chat/completions\\..\\..\\..\\sleep", "/v1/chat/completions%5c..%5c..%5c..%5csleep",
    "http://x/sleep", "//sleep", "/v1/chat/completions/.", "/v1/models/../../sleep",
]  # fmt: skip


@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_of_a_path_leads_elsewhere(front: Gateway, fake: Engine, path: str) -> None:
    """A path is cleaned first, then judged as a whole, and the engine gets what was judged."""
    before = len(fake.requests)
    answer = exchange(front, post(front, path=path) + f"{LENGTH}\r\n{BODY}")
    assert status(answer) in {400, 404, 405}
    assert len(fake.requests) == before


@pytest.mark.parametrize(
    "path",
    ["/v1%2fchat%2Fcompletions", "/v1/ch%61t//completions", "/v1/x/../chat/./completions"],
)
def test_an_engine_gets_the_path_that_was_judged(front: Gateway, fake: Engine, path: str) -> None:
    """However an offered path is spelled, the engine sees it in its plain spelling."""
    assert status(exchange(front, post(front, path=path) + f"{LENGTH}\r\n{BODY}")) == 200
    assert fake.requests[-1][1] == "/v1/chat/completions"


@pytest.mark.parametrize("method", ["CONNECT x:80", "OPTIONS *", "POST *", "POST /openapi.json"])
def test_nothing_of_a_stranger_is_read(front: Gateway, method: str) -> None:
    """Requests without a path and without a key are refused by their head, not by their body."""
    head = f"{method} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    assert status(exchange(front, head, 1)) in {400, 401, 404}


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("GET /v1/models HTTP/1.0\r\nHost: x\r\n", 400),
        ("GET /v1/models HTTP/3.0\r\nHost: x\r\n", 400),
        ("FOO /v1/models HTTP/1.1\r\nHost: x\r\n", 400),
        ("GET /v1/models HTTP/1.1\r\n", 400),
        ("GET /v1/models\r\n", 400),
        ("GET /v1/\xff HTTP/1.1\r\nHost: x\r\n", 400),
        (
            "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
            400,
        ),
        ("\x16\x03\x01\x02\x00hello", 400),
    ],
)
def test_what_is_not_this_protocol_is_told_so(front: Gateway, start: str, code: int) -> None:
    """Other protocols and versions get 400 invalid_http in OpenAI's shape, never 5xx."""
    answer = exchange(front, f"{start}\r\n")
    assert status(answer) == code
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_http"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/v1/completions", "POST"), ("DELETE", "/v1/models/x", "GET"),
     ("HEAD", "/v1/models", "GET"), ("TRACE", "/v1/models", "GET")],
)  # fmt: skip
def test_a_wrong_method_is_told_with_the_right_one(
    front: Gateway, method: str, path: str, allowed: str
) -> None:
    """405 carries Allow."""
    with front.client(front.key("*")) as client:
        answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def served(front: Gateway) -> bool:
    """Tell whether other callers are answered."""
    with front.client(front.key("*")) as client:
        return client.post("/v1/completions", json={"model": "llama-8b"}).status_code == 200


def broken(connection: Http2, stream: int) -> bool:
    """Tell whether a stream was refused rather than answered."""
    came = connection.until_over(stream)
    codes = [dict(e.headers)[b":status"] for e in came if isinstance(e, h2.events.ResponseReceived)]
    return not codes or codes[0][:1] == b"4"


@pytest.mark.parametrize(
    "more",
    [
        [("transfer-encoding", "chunked")],
        [("connection", "keep-alive")],
        [("content-length", "0")],
        [("x-a", "a\r\nTransfer-Encoding: chunked")],
        [("x-a\r\nb", "c")],
        [("X-Upper", "a")],
        [(":path", "/sleep")],
        [(f"x-{n}", "v") for n in range(2000)],
        [("x-a", "v" * 60_000)],
    ],
    ids=["chunks", "connection", "length", "CRLF", "CRLF in a name", "case", "two paths", "many",
         "large"],
)  # fmt: skip
def test_http2_is_no_way_around(front: Gateway, fake: Engine, more: list[tuple[str, str]]) -> None:
    """What HTTP/2 forbids is not translated into HTTP/1.1 for an engine, nor are floods taken."""
    before = len(fake.requests)
    with http2(front) as connection:
        stream = connection.ask(pseudo(front, *more), end=False)
        connection.state.send_data(stream, BODY.encode(), end_stream=True)
        connection.flush()
        assert broken(connection, stream)
    assert len(fake.requests) == before
    assert served(front)


def test_a_flood_of_resets_is_cut_off(front: Gateway) -> None:
    """Whoever opens and resets streams without end loses the connection; others are served."""
    before = front.stats("premature_resets")
    with http2(front) as connection:
        try:
            for _ in range(5000):
                stream = connection.ask(pseudo(front), end=False)
                connection.state.reset_stream(stream)
                connection.flush()
        except OSError:
            pass
        else:
            while connection.receive():
                pass
    counted = front.stats("downstream_rq_too_many_premature_resets")
    assert sum(counted.values()) > sum(before.values())
    assert served(front)


def test_many_that_say_nothing_hold_nobody_up(front: Gateway) -> None:
    """A thousand open connections that dribble headers leave others served, and are closed."""
    head = "POST /v1/completions HTTP/1.1\r\nX: "
    address = ("127.0.0.1", front.front.port)
    slow = [socket.create_connection(address, 10) for _ in range(1000)]
    try:
        for one in slow:
            one.sendall(head.encode())
        assert served(front)
        for one in slow:
            assert one.recv(65536).startswith(b"HTTP/1.1 408")
    finally:
        for one in slow:
            one.close()
    until(lambda: sum(front.stats(r"http\.gateway\.downstream_cx_active").values()) < 100, 10)
