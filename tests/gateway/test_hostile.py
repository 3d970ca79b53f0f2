"""Bodies that try to name one model to the gateway and another one to the engine, or to hurt it."""

import gzip
import json

import httpx
import pytest

from gateway.conftest import model
from gateway.engine import Engine
from gateway.proxy import Gateway, gateway, until

MINE, OTHER = b'"llama-8b"', b'"Qwen/Qwen3-8B"'
JSON = {"Content-Type": "application/json"}

TWO_MODELS = {
    "twice": b'{"model": %s, "model": %s}' % (MINE, OTHER),
    "twice, the other first": b'{"model": %s, "model": %s}' % (OTHER, MINE),
    "escaped": b'{"model": %s, "mod\\u0065l": %s}' % (MINE, OTHER),
    "escaped, the other first": b'{"mod\\u0065l": %s, "model": %s}' % (OTHER, MINE),
    "then null": b'{"model": %s, "model": null}' % MINE,
    "then an object": b'{"model": %s, "model": {"model": %s}}' % (MINE, OTHER),
    "then an empty object": b'{"model": %s, "model": {}}' % MINE,
    "then a list": b'{"model": %s, "model": [%s]}' % (MINE, OTHER),
    "a list first": b'{"model": [%s], "model": %s}' % (OTHER, MINE),
    "inside": b'{"x": {"model": %s}, "model": %s, "y": [{"model": %s}]}' % (OTHER, MINE, OTHER),
    "other case": b'{"model": %s, "Model": %s}' % (MINE, OTHER),
    "with a NUL": b'{"model": %s, "model\\u0000": %s}' % (MINE, OTHER),
    "two documents": b'{"model": %s}{"model": %s}' % (MINE, OTHER),
    "a comment": b'{"model": %s /* , "model": %s */}' % (MINE, OTHER),
    "byte order mark": b'\xef\xbb\xbf{"model": %s, "model": %s}' % (MINE, OTHER),
    "16 bits": json.dumps({"model": "Qwen/Qwen3-8B"}).encode("utf-16"),
    "16 bits without a mark": json.dumps({"model": "Qwen/Qwen3-8B"}).encode("utf-16-le"),
    "compressed": gzip.compress(b'{"model": %s}' % OTHER),
}


def ask(front: Gateway, body: bytes, key: str | None = None, **headers: str) -> httpx.Response:
    """Send a body as a chat."""
    with front.client(key or front.key("llama*"), **headers) as client:
        return client.post("/v1/chat/completions", content=body, headers=JSON)


@pytest.mark.parametrize("kind", TWO_MODELS)
def test_no_body_brings_a_key_to_a_model_that_it_may_not_use(
    front: Gateway, fake: Engine, kind: str
) -> None:
    """What the engine takes for the model is what the gateway judged, or nothing reaches it."""
    before = len(fake.requests)
    answer = ask(front, TWO_MODELS[kind])
    if answer.status_code == 200:
        assert answer.json()["got"]["model"] == "llama-8b"
    else:
        assert answer.status_code in {400, 404}
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert len(fake.requests) == before


MALFORMED = {
    "invalid UTF-8": b'{"model": "llama-8b", "x": "\xff\xfe"}',
    "invalid UTF-8 in the model": b'{"model": "llama-8b\xff"}',
    "half a surrogate": b'{"model": "llama-8b", "x": "\\ud800"}',
    "a raw NUL": b'{"model": "llama-8b", "x": "a\x00b"}',
    "not a number": b'{"model": "llama-8b", "x": NaN}',
    "too large a number": b'{"model": "llama-8b", "x": 1e999}',
    "too many digits": b'{"model": "llama-8b", "x": %s}' % (b"9" * 500_000),
    "something behind": b'{"model": "llama-8b"} x',
    "deep lists": b'{"model": "llama-8b", "x": %s%s}' % (b"[" * 400_000, b"]" * 400_000),
    "deep objects": b'{"model": "llama-8b", "x": %s1%s}' % (b'{"a":' * 150_000, b"}" * 150_000),
    "deep and open": b"[" * 1_000_000,
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_no_json_is_refused_before_any_engine(
    front: Gateway, fake: Engine, kind: str
) -> None:
    """Broken text, numbers and nesting are 400 invalid_json, and Envoy lives on."""
    before = len(fake.requests)
    answer = ask(front, MALFORMED[kind])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
    assert len(fake.requests) == before
    assert ask(front, b'{"model": "llama-8b"}').status_code == 200


@pytest.mark.parametrize("named", [b"5", b"5.0", b"true", b"false", b"-1"])
def test_a_model_that_is_no_text_leads_to_no_other_name(front: Gateway, named: bytes) -> None:
    """A number is at most the model of that name, for keys that may use it; else 404."""
    assert ask(front, b'{"model": %s}' % named, front.key("*")).status_code == 404


@pytest.mark.parametrize("length", [1, 255, 8192, 8193, 900_000])
def test_a_long_name_is_a_model_that_does_not_exist(front: Gateway, length: int) -> None:
    """However long the name, it is refused as one that nobody serves; the answer stays small."""
    answer = ask(front, b'{"model": "%s"}' % (b"x" * length))
    assert answer.status_code == (404 if length <= 8192 else 400)
    assert len(answer.content) < 9000


@pytest.mark.parametrize(
    "name", ["%REQ(authorization)%", "a\r\nX-Evil: 1", '"},"x":{"', "\x00", ""]
)
def test_a_name_is_told_back_as_text_only(front: Gateway, name: str) -> None:
    """Names are no format, no header and no JSON of ours."""
    answer = ask(front, json.dumps({"model": name}).encode())
    assert answer.status_code == 404
    assert f"`{name}`" in answer.json()["error"]["message"]
    assert "x-evil" not in answer.headers


def test_fifty_megabytes_are_refused_as_soon_as_they_are_too_many(front: Gateway) -> None:
    """A body beyond the limit is 413, however much of it would come."""
    answer = ask(front, b'{"model": "llama-8b", "p": "%s"}' % (b"x" * 50_000_000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_a_stranger_cannot_make_the_gateway_read_a_body(front: Gateway) -> None:
    """Without a key 50 MB are refused by their head alone."""
    with front.client() as client:
        answer = client.post("/v1/chat/completions", content=b"x" * 50_000_000, headers=JSON)
    assert answer.status_code == 401


def test_what_is_within_the_limit_passes_whole(
    tmp_path_factory: pytest.TempPathFactory, fake: Engine
) -> None:
    """With the limit of a real installation 31 MB arrive at the engine as they were sent."""
    folder = tmp_path_factory.mktemp("large")
    with gateway(folder, largest_body=32 * 2**20) as large:
        large.serve(models=(model("llama-8b", fake.port),))
        with large.client(large.key("*")) as client:
            until(lambda: client.get("/v1/models/llama-8b").status_code == 200, 5)
            sent = {"model": "llama-8b", "p": "x" * 31_000_000}
            answer = client.post("/v1/completions", json=sent)
    assert answer.json()["got"] == sent
