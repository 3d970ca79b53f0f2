"""What passes through a real Envoy, and what does not."""

import json
import socket
import threading
from pathlib import Path

import httpx
import pytest

from gateway.conftest import model
from gateway.engine import EVENTS, Engine, engine
from gateway.proxy import Gateway, gateway, until
from modelops.gateway.routes import JSON_PATHS, TEXT_PATHS
from modelops.gateway.snapshot import AccessLog

CHAT = {"model": "llama-8b", "messages": []}


@pytest.mark.parametrize("path", [path for path in JSON_PATHS if path in TEXT_PATHS])
def test_an_offered_path_reaches_the_model(front: Gateway, fake: Engine, path: str) -> None:
    """Each path of the OpenAI surface is passed on with its body and query as they came."""
    with front.client(front.key("*")) as client:
        answer = client.post(f"{path}?a=b", json=CHAT)
    assert answer.json() == {"path": path, "got": CHAT, "port": fake.port}


@pytest.mark.parametrize(
    "path",
    [
        "/invocations", "/pause", "/update_weights", "/sleep", "/v1/load_lora_adapter", "/metrics",
        "/v1/unload_lora_adapter", "/health", "/", "/v1", "/v1/chat/completions/",
        "/v1/chat/completions/x", "/v1/chat/completionsx", "/v1/chat/completions;/sleep",
        "/x/../sleep", "/v1/%2e%2e/sleep", "//sleep", "/v1/chat/completions%2f..%2f..%2fsleep",
        "/V1/CHAT/COMPLETIONS", "/v1/audio/speech", "/tokenize", "/server_info",
    ],
)  # fmt: skip
def test_no_other_path_of_an_engine_can_be_reached(front: Gateway, fake: Engine, path: str) -> None:
    """Whatever the method and spelling, only the offered paths lead to an engine."""
    before = len(fake.requests)
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {front.key('*')}\r\n"
    body = json.dumps(CHAT)
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = raw(front, (request + head + body).encode())
    assert answer.split()[1] in {b"404", b"400"}
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request_error"
    assert len(fake.requests) == before


def raw(gateway: Gateway, request: bytes) -> bytes:
    """Send bytes as they are and return the answer."""
    with socket.create_connection(("127.0.0.1", gateway.front.port), 5) as sent:
        sent.sendall(request)
        return sent.recv(65536)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
MANY = {f"X-H{n}": "v" for n in range(150)}
REFUSED = {
    "malformed": (b'{"model": "llama-8b"', JSON, 400, "invalid_json"),
    "no model": (b'{"messages": []}', JSON, 400, "model_missing"),
    "null model": (b'{"model": null}', JSON, 400, "model_missing"),
    "model is an object": (b'{"model": {"a": 1}}', JSON, 400, "model_missing"),
    "not an object": (b'["model"]', JSON, 400, "model_missing"),
    "empty": (b"", JSON, 400, "model_missing"),
    "unknown model": (b'{"model": "x\\"y\\n"}', JSON, 404, "model_not_found"),
    "number": (b'{"model": 5}', JSON, 404, "model_not_found"),
    "form": (b"model=llama-8b", FORM, 415, "not_json"),
    "no type": (b'{"model": "llama-8b"}', {}, 415, "not_json"),
    "too large": (b'{"model": "llama-8b", "p": "%s"}' % (b"x" * 2**20), JSON, 413,
                  "request_too_large"),
    "many headers": (b'{"model": "llama-8b"}', JSON | MANY, 431, "headers_too_large"),
    "large header": (b"", JSON | {"X-H": "v" * 70_000}, 431, "headers_too_large"),
    "underscore": (b'{"model": "llama-8b"}', JSON | {"a_b": "c"}, 400, "invalid_http"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_request_is_refused_as_openai_does(front: Gateway, fake: Engine, kind: str) -> None:
    """What cannot be served is answered with its cause in OpenAI's shape, before any engine."""
    body, headers, status, code = REFUSED[kind]
    before = len(fake.requests)
    with front.client(front.key("*")) as client:
        answer = client.post("/v1/chat/completions", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["content-type"].startswith("application/json")
    assert len(fake.requests) == before


def test_the_wrong_method_is_told(front: Gateway) -> None:
    """GET on a path that takes POST is 405."""
    with front.client(front.key("*")) as client:
        assert client.get("/v1/chat/completions").status_code == 405


def test_the_last_of_two_models_is_judged_and_used(front: Gateway) -> None:
    """A body that names two models is judged by the one that engines would take: the last."""
    body = b'{"model": "llama-8b", "model": "Qwen/Qwen3-8B"}'
    with front.client(front.key("llama*")) as client:
        answer = client.post("/v1/chat/completions", content=body, headers=JSON)
    assert answer.status_code == 404
    assert json.loads(body)["model"] == "Qwen/Qwen3-8B"


def test_a_model_without_replicas_is_unavailable_and_says_when_to_retry(front: Gateway) -> None:
    """A model at zero is 503 with Retry-After, not 404."""
    with front.client(front.key("*")) as client:
        answer = client.post("/v1/chat/completions", json=CHAT | {"model": "idle"})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["code"] == "model_unavailable"


def test_a_dead_replica_is_passed_over(front: Gateway, fake: Engine) -> None:
    """A request that no engine has seen goes to another replica when one cannot be reached."""
    with engine() as brief:
        port = brief.port
    front.serve(models=(model("two", port, fake.port),))
    with front.client(front.key("*")) as client:
        until(lambda: client.get("/v1/models/two").status_code == 200, 2)
        codes = [
            client.post("/v1/completions", json={"model": "two"}).status_code for _ in range(8)
        ]
    assert codes == [200] * 8


def test_events_pass_as_they_are_made(front: Gateway, fake: Engine) -> None:
    """Each event of a stream arrives before the engine makes the next one."""
    body = CHAT | {"stream": True, "gated": True}
    with (
        front.client(front.key("*")) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        lines = (line for line in answer.iter_lines() if line)
        for number in range(EVENTS):
            fake.release()
            assert json.loads(next(lines).removeprefix("data: ")) == {"n": number}
        assert next(lines) == "data: [DONE]"


def test_a_caller_that_leaves_frees_the_engine(front: Gateway, fake: Engine) -> None:
    """The engine hears within 2 s that nobody waits for its answer any more."""
    body = CHAT | {"stream": True, "gated": True}
    with (
        front.client(front.key("*")) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        fake.release()
        next(answer.iter_lines())
    fake.lose("/v1/chat/completions", 2)


def test_a_stream_that_breaks_does_not_look_whole(front: Gateway) -> None:
    """When an engine dies in the middle the client gets an error and not a short answer."""
    body = CHAT | {"stream": True, "dies": 2}
    with (
        front.client(front.key("*")) as client,
        pytest.raises(httpx.RemoteProtocolError),
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        assert len(list(answer.iter_lines())) < EVENTS


def test_a_model_whose_replicas_all_died_is_unavailable(front: Gateway) -> None:
    """Nobody waits long for replicas that are gone: 503, with the time to try again."""
    with engine() as brief:
        port = brief.port
    front.serve(models=(model("gone", port),))
    with front.client(front.key("*")) as client:
        until(lambda: client.get("/v1/models/gone").status_code == 200, 2)
        answer = client.post("/v1/completions", json={"model": "gone"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
    assert answer.elapsed.total_seconds() < 5


def test_a_change_is_live_within_a_second_and_drops_no_stream(front: Gateway, fake: Engine) -> None:
    """Models come, move and go, keys are revoked: the open stream goes on to its end."""
    body = CHAT | {"stream": True, "gated": True}
    key = front.key("*")
    with (
        front.client(key) as client,
        front.client(key) as other,
        engine() as second,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        lines = (line for line in answer.iter_lines() if line)
        fake.release()
        assert next(lines)
        front.serve(models=(model("llama-8b", second.port),), revoked=frozenset({"some"}))
        until(lambda: port_of(other, "llama-8b") == second.port, 1)
        front.serve(models=(model("new", second.port),))
        until(lambda: port_of(other, "new") == second.port, 1)
        until(lambda: port_of(other, "llama-8b") is None, 1)
        for _ in range(EVENTS - 1):
            fake.release()
        assert [*lines][-1] == "data: [DONE]"


def port_of(client: httpx.Client, name: str) -> int | None:
    """Return the port of the replica that answers for a model."""
    answer = client.post("/v1/chat/completions", json={"model": name})
    return answer.json()["port"] if answer.status_code == 200 else None


def test_two_protocols_are_spoken(front: Gateway) -> None:
    """HTTP/2 with prior knowledge is answered as HTTP/1.1 is."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    settings_frame = raw(front, preface)
    assert settings_frame[3] == 4


@pytest.mark.parametrize(
    "start", ["Host:", "Content-Type: application/json\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"]
)
def test_a_slow_caller_is_cut_off(front: Gateway, start: str) -> None:
    """A request whose headers or body dribble in is answered 408 in time, and holds no other up."""
    head = f"POST /v1/completions HTTP/1.1\r\nAuthorization: Bearer {front.key('*')}\r\n{start}"
    with socket.create_connection(("127.0.0.1", front.front.port), 5) as slow:
        slow.sendall(head.encode())
        with front.client(front.key("*")) as client:
            assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
        assert slow.recv(65536).startswith(b"HTTP/1.1 408")


def test_many_callers_at_once_are_all_answered(front: Gateway) -> None:
    """Sixty-four requests in flight from as many connections all succeed."""
    codes: list[int] = []
    key = front.key("*")

    def ask() -> None:
        with front.client(key) as client:
            codes.append(client.post("/v1/chat/completions", json=CHAT).status_code)

    threads = [threading.Thread(target=ask) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [200] * 64


@pytest.mark.parametrize(("kind", "lines"), [("All", 2), ("Errors", 1), ("Off", 0)])
def test_the_access_log_has_what_is_wanted(
    tmp_path: Path, fake: Engine, kind: AccessLog, lines: int
) -> None:
    """Every request has a line, or those that were refused, or none."""
    with gateway(tmp_path, access_log=kind) as quiet:
        quiet.serve(models=(model("llama-8b", fake.port),))
        with quiet.client(quiet.key("*")) as client:
            until(lambda: client.get("/v1/models/llama-8b").status_code == 200, 5)
            for name in ("llama-8b", "none"):
                client.post("/v1/completions", json={"model": name})
    log = (tmp_path / "log").read_text()
    assert log.count('"path":"/v1/completions"') == lines


def test_the_access_log_has_what_broke_off_or_was_no_request(tmp_path: Path, fake: Engine) -> None:
    """A stream that its caller leaves is an error with its tenant, and so is what is no HTTP."""
    body = {"model": "llama-8b", "stream": True, "gated": True}
    with gateway(tmp_path, access_log="Errors") as quiet:
        quiet.serve(models=(model("llama-8b", fake.port),))
        with quiet.client(quiet.key("*", tenant="left")) as client:
            until(lambda: client.get("/v1/models/llama-8b").status_code == 200, 5)
            with client.stream("POST", "/v1/completions", json=body) as answer:
                assert answer.status_code == 200
        with socket.create_connection(("127.0.0.1", quiet.front.port)) as stranger:
            stranger.sendall(b"hello\r\n\r\n")
            assert stranger.recv(100).startswith(b"HTTP/1.1 400")
    text = (tmp_path / "log").read_text().splitlines()
    lines = [json.loads(line) for line in text if line.startswith("{")]
    told = {(line["status"], line["tenant"], line["path"]) for line in lines}
    assert told >= {(200, "left", "/v1/completions"), (400, None, None)}
