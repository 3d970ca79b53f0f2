"""Story: the official clients, in two languages, on a real engine."""

from typing import Any

import pytest

from e2e.clients.official import LANGUAGES, Json, use
from e2e.keys import new_key, until_taken
from e2e.space import Space

CHAT, VECTORS = "clients-chat", "clients-vectors"
PLACE: Json = {
    "type": "object",
    "properties": {"city": {"enum": ["Linz", "Wien"]}},
    "required": ["city"],
    "additionalProperties": False,
}
"""What random weights can fill in as well as others can."""

HELLO: Json = {
    "model": CHAT,
    "messages": [{"role": "user", "content": "Where are you?"}],
    "max_tokens": 32,
    "temperature": 0,
}
STRICT = ("--structured-outputs-config.backend=xgrammar",
          "--structured-outputs-config.disable_any_whitespace=true")  # fmt: skip
CALLING = ("--enable-auto-tool-choice", "--tool-call-parser=hermes")

pytestmark = pytest.mark.parametrize("language", LANGUAGES)


@pytest.fixture(scope="module")
def served(space: Space) -> Space:
    """A model that chats and one that embeds, Ready."""
    space.model(CHAT, runtime={"args": [*STRICT, *CALLING]})
    space.model(VECTORS, runtime={"args": ["--runner=pooling", "--convert=embed"]})
    space.until_ready(CHAT)
    space.until_ready(VECTORS)
    return space


@pytest.fixture(scope="module")
def key(served: Space, url: str) -> str:
    """A key for both."""
    made = new_key(served.kube, "acme", "clients-*")
    for name in (CHAT, VECTORS):
        until_taken(url, made, name)
    return made


def value(got: Json) -> Any:
    """Return what the client read; fail with its error."""
    assert "value" in got, got
    return got["value"]


def test_a_chat_and_a_stream(url: str, key: str, language: str) -> None:
    """A stream is the same text as the whole answer, in pieces, with its usage."""
    request = HELLO | {"ignore_eos": True}
    whole = value(use("chat", language, url, key, request))
    streamed = value(
        use("stream", language, url, key, request | {"stream_options": {"include_usage": True}})
    )
    assert whole["tokens"] == streamed["tokens"] == 32
    assert streamed["text"] == whole["text"]
    assert streamed["pieces"] > 2


def test_tools_and_structured_output(url: str, key: str, language: str) -> None:
    """The engine answers by a schema, and calls the tool that it is told to."""
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}
    place = value(use("structured", language, url, key, HELLO | {"response_format": form}))
    assert place["city"] in PLACE["properties"]["city"]["enum"]
    tool = {"type": "function", "function": {"name": "go", "strict": True, "parameters": PLACE}}
    chosen = {"type": "function", "function": {"name": "go"}}
    request = HELLO | {"tools": [tool], "tool_choice": chosen, "max_tokens": 200}
    (call,) = value(use("tools", language, url, key, request))
    assert call["name"] == "go"
    assert call["arguments"]["city"] in PLACE["properties"]["city"]["enum"]


def test_embeddings(url: str, key: str, language: str) -> None:
    """Equal texts have equal vectors, others have others."""
    request = {"model": VECTORS, "input": ["Linz", "Linz", "Wien"]}
    one, same, other = value(use("embeddings", language, url, key, request))
    assert one == pytest.approx(same)
    assert one != pytest.approx(other)


def test_models_and_errors(url: str, key: str, language: str) -> None:
    """Each client lists what the key may use, and raises what the gateway and the engine say."""
    assert value(use("list", language, url, key, {})) == [CHAT, VECTORS]
    absent = use("chat", language, url, key, HELLO | {"model": "absent"})["error"]
    assert (absent["kind"], absent["code"]) == ("NotFoundError", "model_not_found")
    wrong = use("chat", language, url, key, HELLO | {"temperature": "hot"})["error"]
    assert (wrong["kind"], wrong["status"]) == ("BadRequestError", 400)
    late = use("chat", language, url, key, HELLO | {"max_tokens": 400}, timeout=0.05)["error"]
    assert late["kind"] == "APITimeoutError"
