"""The official OpenAI clients, in Python and in JavaScript, through a real Envoy."""

import base64
import struct
import threading
from collections.abc import Iterator

import pytest

from e2e.clients.official import LANGUAGES, Json, use
from gateway.conftest import model
from gateway.engine import Engine
from gateway.proxy import Gateway, until
from gateway.test_limits import Pair, pods

HELLO = {"model": "llama-8b", "messages": [{"role": "user", "content": "Hello"}]}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("language", LANGUAGES)]


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, fake: Engine) -> Iterator[Pair]:
    """Gateway pods that count requests."""
    with pods(tmp_path_factory.mktemp("limited"), fake, "Open") as running:
        yield running


def completion(**message: object) -> Json:
    """Return a chat completion that an engine gives."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    return {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [choice], "usage": USAGE,
    }  # fmt: skip


def asked(front: Gateway, what: str, language: str, request: Json, **options: object) -> Json:
    """Do one thing with a good key."""
    return use(what, language, front.url, front.key("*"), request, **options)


def test_a_chat(front: Gateway, language: str) -> None:
    """What the engine answers is what the client reads."""
    got = asked(front, "chat", language, HELLO | {"answer": completion(content="Grüß Gott 🌍")})
    assert got == {"value": {"text": "Grüß Gott 🌍", "tokens": 2}}


def test_a_stream(front: Gateway, language: str) -> None:
    """Events arrive one by one, wherever the engine's packets cut them, with their usage."""
    words = ["Grüß", " ", "Gott", " 🌍"]
    told = [f'data: {{"choices":[{{"index":0,"delta":{{"content":"{w}"}}}}]}}' for w in words]
    request = HELLO | {
        "told": told, "cuts": [1, 40, 63, 64, 65, 130], "end": "\n\n", "usage": USAGE,
        "stream_options": {"include_usage": True},
    }  # fmt: skip
    got = asked(front, "stream", language, request)
    assert got == {"value": {"pieces": 4, "text": "Grüß Gott 🌍", "tokens": 2}}


def test_tools(front: Gateway, language: str) -> None:
    """A tool that the engine calls is called with its arguments."""
    function = {"name": "weather", "arguments": '{"city": "Linz"}'}
    calls = [{"id": "1", "type": "function", "function": function}]
    request = HELLO | {"tools": [TOOL], "answer": completion(content=None, tool_calls=calls)}
    got = asked(front, "tools", language, request)
    assert got == {"value": [{"name": "weather", "arguments": {"city": "Linz"}}]}


def test_structured_output(front: Gateway, language: str) -> None:
    """Text by a JSON schema is read as JSON."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    request = HELLO | {"response_format": form, "answer": completion(content='{"city": "Linz"}')}
    assert asked(front, "structured", language, request) == {"value": {"city": "Linz"}}


def test_responses(front: Gateway, language: str) -> None:
    """The newer interface is passed on as the older one is."""
    part = {"type": "output_text", "text": "Servus", "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed",
               "content": [part]}  # fmt: skip
    answer = {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": [message],
              "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}  # fmt: skip
    request = {"model": "llama-8b", "input": "Hello", "answer": answer}
    assert asked(front, "responses", language, request) == {"value": {"text": "Servus"}}


def test_embeddings(front: Gateway, language: str) -> None:
    """Vectors arrive in the packed form that the clients ask for by themselves."""
    packed = base64.b64encode(struct.pack("<4f", 0.5, -1, 2, 0.25)).decode()
    data = [{"object": "embedding", "index": n, "embedding": packed} for n in range(2)]
    answer = {"object": "list", "model": "m", "data": data, "usage": USAGE}
    request = {"model": "llama-8b", "input": ["a", "b"], "answer": answer}
    assert asked(front, "embeddings", language, request) == {"value": [[0.5, -1, 2, 0.25]] * 2}


def test_models(front: Gateway, language: str) -> None:
    """Models are listed, and told of by name, with a slash in it too."""
    assert asked(front, "list", language, {}) == {"value": ["Qwen/Qwen3-8B", "idle", "llama-8b"]}
    name = "Qwen/Qwen3-8B"
    assert asked(front, "retrieve", language, {"model": name}) == {"value": name}


@pytest.mark.parametrize(
    ("key", "request_", "kind", "status", "code"),
    [
        ("bad", HELLO, "AuthenticationError", 401, "invalid_api_key"),
        ("*", HELLO | {"model": "absent"}, "NotFoundError", 404, "model_not_found"),
        ("Qwen*", HELLO, "NotFoundError", 404, "model_not_found"),
        ("*", HELLO | {"p": "x" * 2**20}, "APIStatusError", 413, "request_too_large"),
        ("*", HELLO | {"model": "idle"}, "InternalServerError", 503, "model_unavailable"),
    ],
)
def test_errors(  # noqa: PLR0913, PLR0917  the columns of a table
    front: Gateway, language: str, key: str, request_: Json, kind: str, status: int, code: str
) -> None:
    """Each refusal is the client's own exception, with its code."""
    signed = "bad" if key == "bad" else front.key(key)
    error = use("chat", language, front.url, signed, request_)["error"]
    kinds = {kind, "APIError"} if kind == "APIStatusError" else {kind}
    assert (error["status"], error["code"]) == (status, code)
    assert error["kind"] in kinds
    assert (error["wait"] is not None) == (status == 503)


def test_a_retry_succeeds(front: Gateway, fake: Engine, language: str) -> None:
    """A client that is told 503 tries again when Retry-After says so, and is answered then."""
    name = f"waking-{language}"
    front.serve(models=(*front.snapshot.models, model(name)))
    with front.client(front.key("*")) as client:
        until(lambda: client.get(f"/v1/models/{name}").status_code == 200, 5)
    before = refused(front)

    def wake() -> None:
        until(lambda: refused(front) > before, 60)
        front.serve(models=(*front.snapshot.models[:-1], model(name, fake.port)))

    waking = threading.Thread(target=wake)
    waking.start()
    request = HELLO | {"model": name, "answer": completion(content="awake")}
    got = asked(front, "chat", language, request, max_retries=5)
    waking.join()
    assert got == {"value": {"text": "awake", "tokens": 2}}


def refused(front: Gateway) -> int:
    """Return how often the gateway answered 5xx."""
    return sum(front.stats(r"^http\.gateway\.downstream_rq_5xx$").values())


def test_a_limit_is_told_with_its_end(limited: Pair, language: str) -> None:
    """Requests beyond the limit are the client's RateLimitError with Retry-After."""
    key, request = limited.key(rpm=3), HELLO | {"answer": completion(content="x")}
    url = limited.pods[0].envoy.url
    got = [use("chat", language, url, key, request) for _ in range(4)]
    assert ["value" in one for one in got] == [True, True, True, False]
    error = got[-1]["error"]
    assert (error["kind"], error["code"]) == ("RateLimitError", "rate_limit_exceeded")
    assert int(error["wait"]) > 0


def test_a_client_that_gives_up_frees_the_engine(
    front: Gateway, fake: Engine, language: str
) -> None:
    """A client's own timeout ends its wait, and the engine hears of it."""
    got = asked(front, "chat", language, HELLO | {"held": True}, timeout=1)
    assert got["error"]["kind"] == "APITimeoutError"
    fake.lose("/v1/chat/completions", 5)


@pytest.mark.parametrize("what", ["stream", "events"])
def test_a_stream_that_breaks_off_raises(front: Gateway, language: str, what: str) -> None:
    """When the engine dies the client raises its own error, with what the gateway says of it."""
    told = ['data: {"type":"x","choices":[{"index":0,"delta":{"content":"half"}}]}']
    request = HELLO | {"told": told, "cuts": [], "end": "\n\n", "usage": USAGE, "breaks": True}
    got = asked(front, what, language, request)
    error = {"kind": "APIError", "status": None, "code": "model_broken", "wait": None}
    assert got == {"error": error}
    assert "value" in asked(front, what, language, request | {"breaks": False})
