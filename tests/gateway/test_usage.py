"""Tokens are counted from answers and streams, and callers see only what they asked for."""

import asyncio
import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from h2.events import DataReceived, TrailersReceived
from httpx2 import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.conftest import model
from gateway.dying import HEAD, dying
from gateway.engine import Engine, said
from gateway.proxy import Gateway, gateway, until
from gateway.raw import http2, pseudo
from modelops.gateway import bootstrap, clusters
from modelops.gateway.counters import Counts, Series, growth, parse, read

CHAT = {"model": "llama-8b", "messages": []}
USAGE = {"prompt_tokens": 7, "total_tokens": 16, "completion_tokens": 9}
RESPONSES = {"input_tokens": 7, "output_tokens": 9, "total_tokens": 16}


def counts(gateway: Gateway) -> Counts:
    """Return what Envoy has counted."""

    async def ask() -> Counts:
        async with AsyncClient(base_url=f"http://127.0.0.1:{gateway.front.admin_port}") as envoy:
            pieces = [piece async for piece in read(envoy)]
            return {words: count for piece in pieces for words, count in piece.items()}

    return asyncio.run(ask())


def spent(gateway: Gateway, before: Counts) -> dict[str, int]:
    """Return what was added, by name; it is of one tenant, key and model."""
    added = growth(before, counts(gateway))
    assert len({series[1:] for series in added}) <= 1
    return {series.name: count for series, count in added.items()}


def wait(gateway: Gateway, before: Counts, **expected: int) -> None:
    """Wait until exactly this was added."""
    until(lambda: len(spent(gateway, before)) >= len(expected), 5)
    assert spent(gateway, before) == expected


@pytest.mark.parametrize(
    ("path", "usage", "output"),
    [
        ("/v1/chat/completions", USAGE, 9),
        ("/v1/responses", RESPONSES, 9),
        ("/v1/embeddings", {"prompt_tokens": 7, "total_tokens": 7}, 0),
    ],
)
def test_the_tokens_of_an_answer_are_counted(
    front: Gateway, path: str, usage: dict[str, int], output: int
) -> None:
    """Each request adds what its answer says to the counts of its tenant, key and model."""
    before = counts(front)
    record = front.record("*")
    with front.client(front.signing.sign(record)) as client:
        body = CHAT | {"answer": {"choices": [], "usage": usage}}
        assert client.post(path, json=body).json() == body["answer"]
        client.post(path, json=body)
    until(lambda: spent(front, before).get("requests") == 2, 5)
    added = growth(before, counts(front))
    assert {series[1:] for series in added} == {("acme", record.id, "llama-8b", path)}
    assert {s.name: n for s, n in added.items()} == {
        "requests": 2,
        "input_tokens": 14,
        **({"output_tokens": 2 * output} if output else {}),
    }


@pytest.mark.parametrize("name", ["a/b:c@d+e", "a.b.c", 'q"u\\o', "x;y=1,z", "ä ö"])
def test_a_name_is_counted_as_it_is(front: Gateway, fake: Engine, name: str) -> None:
    """Names with any characters come back unchanged from Envoy's statistics."""
    front.serve(models=(model(name, fake.port),))
    before = counts(front)
    with front.client(front.key("*")) as client:
        until(lambda: len(client.get("/v1/models").json()["data"]) == 1, 5)
        client.post("/v1/completions", json={"model": name, "answer": {"usage": USAGE}})
    until(lambda: bool(spent(front, before)), 5)
    assert {series.model for series in growth(before, counts(front))} == {name}


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/chat/completions"])
@pytest.mark.parametrize("order", [("data", "usage"), ("usage", "data")])
def test_large_answers_are_passed_on_and_counted(
    front: Gateway, path: str, order: tuple[str, str]
) -> None:
    """Answers that are larger than any buffer arrive whole; their usage counts wherever it is."""
    before = counts(front)
    answer = {"data": "x", "usage": USAGE}
    with front.client(front.key("*")) as client:
        told = {name: answer[name] for name in order}
        got = client.post(path, json=CHAT | {"answer": told, "times": 5_000_000}).json()
    assert got == {"data": "x" * 5_000_000, "usage": USAGE}
    wait(front, before, requests=1, input_tokens=7, output_tokens=9)


@pytest.mark.parametrize("usage", [None, [], {}, "much", {"prompt_tokens": None}])
def test_an_answer_without_usage_is_counted_in_bytes(front: Gateway, usage: Any) -> None:
    """What an engine does not tell is still known: how much came and went."""
    before = counts(front)
    with front.client(front.key("*")) as client:
        sent = client.build_request(
            "POST", "/v1/completions", json=CHAT | {"answer": {"usage": usage}}
        )
        answer = client.send(sent)
    wait(
        front,
        before,
        uncounted_requests=1,
        uncounted_bytes_received=len(sent.content),
        uncounted_bytes_sent=len(answer.content),
    )


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stream_options": None},
        {"stream_options": {}},
        {"stream_options": {"include_usage": False}},
    ],
)
def test_a_stream_is_counted_unasked(front: Gateway, path: str, options: dict[str, Any]) -> None:
    """The tokens of a stream are counted though the caller did not ask and does not see them."""
    before = counts(front)
    body = stream(["data: {}"]) | options
    with front.client(front.key("*")) as client:
        assert client.post(path, json=body).content == said(body)
    wait(front, before, requests=1, input_tokens=7, output_tokens=9)


def test_a_stream_that_is_one_piece_is_whole_without_its_usage(front: Gateway) -> None:
    """An engine may tell a stream's length; what its caller gets is shorter, and ends."""
    body = stream(["data: {}"]) | {"whole": True}
    with front.client(front.key("*")) as client:
        assert client.post("/v1/completions", json=body).content == said(body)


@pytest.mark.parametrize("room", [-1, 0, 1, 40])
def test_the_largest_stream_is_served_and_counted(front: Gateway, room: int) -> None:
    """A request that fills the gateway's buffer has its usage asked for; one byte more is 413."""
    before = counts(front)
    body = json.dumps(stream(["data: {}"]) | {"messages": [""]})
    text = "x" * (front.front.largest_body - len(body) - room)
    body = body.replace('"messages": [""', f'"messages": ["{text}"')
    with front.client(front.key("*"), **{"content-type": "application/json"}) as client:
        answer = client.post("/v1/completions", content=body)
    if room < 0:
        assert answer.json()["error"]["code"] == "request_too_large"
        return wait(front, before, failed_requests=1)
    assert answer.content == said(json.loads(body))
    return wait(front, before, requests=1, input_tokens=7, output_tokens=9)


def test_engines_are_asked_for_plain_answers(front: Gateway, fake: Engine) -> None:
    """Whatever its caller would take, no engine is told that it may compress."""
    with front.client(front.key("*"), **{"Accept-Encoding": "gzip, br"}) as client:
        assert client.post("/v1/completions", json=CHAT).status_code == 200
    assert not [name for name in fake.requests[-1][2] if name.lower() == "accept-encoding"]


def test_what_an_engine_compresses_nonetheless_passes_as_it_is(front: Gateway) -> None:
    """Such a stream is neither held nor changed, and counts in bytes."""
    before, packed = counts(front), gzip.compress(b'data: {"usage": 1}\n\n')
    head = HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n"
    with dying("ends", packed[:9], packed[9:], head=head) as port:
        front.serve(models=(model("packed", port),))
        with front.client(front.key("*")) as client:
            until(lambda: client.get("/v1/models/packed").status_code == 200, 5)
            came = bytearray()
            with (
                client.stream("POST", "/v1/completions", json={"model": "packed"}) as answer,
                suppress(httpx.RemoteProtocolError),
            ):
                for piece in answer.iter_raw():
                    came += piece
    assert came == packed
    until(lambda: bool(spent(front, before)), 5)
    assert spent(front, before)["uncounted_bytes_sent"] >= len(packed)


@pytest.mark.parametrize("true", [True, 1, "true", "Yes", "on", 1.0])
def test_a_stream_is_known_however_engines_read_it(front: Gateway, true: object) -> None:
    """What a lenient engine takes for a stream does not escape being counted."""
    before = counts(front)
    body = stream(["data: {}"]) | {"stream": true}
    with front.client(front.key("*")) as client:
        assert client.post("/v1/completions", json=body).content == said(body)
    wait(front, before, requests=1, input_tokens=7, output_tokens=9)


@pytest.mark.parametrize("true", [True, 1, "T", 1.0])
def test_usage_that_was_asked_for_is_seen(front: Gateway, true: object) -> None:
    """Who asks for the usage of a stream gets it, and it is counted once."""
    before = counts(front)
    body = stream(["data: {}"]) | {"stream_options": {"include_usage": true}}
    with front.client(front.key("*")) as client:
        answer = client.post("/v1/chat/completions", json=body)
    assert b'"usage"' in answer.content
    assert answer.content == said(body)
    wait(front, before, requests=1, input_tokens=7, output_tokens=9)


def test_a_stream_of_the_responses_api_is_counted(front: Gateway) -> None:
    """Its last event holds the whole answer with its usage, and passes unchanged."""
    before = counts(front)
    response = {"output": "x" * 100_000, "usage": RESPONSES}
    done = f"event: response.completed\ndata: {json.dumps({'response': response})}"
    body = stream(['data: {"usage": null}', done])
    with front.client(front.key("*")) as client:
        assert client.post("/v1/responses", json=body).content == said(body)
    wait(front, before, requests=1, input_tokens=7, output_tokens=9)


def test_what_a_caller_sent_is_not_taken_for_usage(front: Gateway) -> None:
    """The Responses API repeats a request's tools; what looks like usage there counts nothing."""
    before = counts(front)
    tools = [{"parameters": {"usage": {"input_tokens": 0, "output_tokens": 0}}}]
    begun = {"response": {"tools": tools, "usage": None}}
    done = {"response": {"tools": tools, "usage": RESPONSES}}
    body = stream([f"data: {json.dumps(each)}" for each in (begun, done)])
    with front.client(front.key("*")) as client:
        assert client.post("/v1/responses", json=body).content == said(body)
    wait(front, before, requests=1, input_tokens=7, output_tokens=9)


DELTA_EVENT = '{"choices":[{"delta":{"content":" \\"delta\\": "}}]}'
TEXT_EVENT = '{"choices":[{"text":"\\"text\\":"}]}'


@pytest.mark.parametrize("asked", ["true", "false"])
@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("/v1/chat/completions", DELTA_EVENT),
        ("/v1/completions", TEXT_EVENT),
        ("/v1/responses", '{"type":"response.output_text.delta","delta":"x"}'),
    ],
)
def test_who_leaves_a_stream_is_charged_for_what_came(
    front: Gateway, fake: Engine, path: str, event: str, asked: str
) -> None:
    """Tokens of a stream that is left are estimated: its events, and its prompt by its length."""
    before, options = counts(front), {"include_usage": json.loads(asked)}
    fake.hold()
    body = CHAT | {"stream": True, "gated": True, "event": event, "stream_options": options}
    with (
        front.client(front.key("*")) as client,
        client.stream("POST", path, json=body) as answer,
    ):
        came = answer.iter_raw()
        for _ in range(3):
            fake.release()
            assert next(came) == f"data: {event}\n\n".encode()
        sent = int(answer.request.headers["content-length"])
    fake.lose(path, 5)
    tokens = {"estimated_input_tokens": -(-sent // 4), "estimated_output_tokens": 3}
    wait(front, before, estimated_requests=1, **tokens)


def test_who_leaves_before_anything_came_is_counted_in_bytes(front: Gateway, fake: Engine) -> None:
    """A caller that goes before the first event costs no tokens that anybody knows of."""
    before = counts(front)
    fake.hold()
    body = CHAT | {"stream": True, "gated": True}
    with (
        front.client(front.key("*")) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        sent = int(answer.request.headers["content-length"])
    fake.lose("/v1/chat/completions", 5)
    until(lambda: bool(spent(front, before)), 5)
    added = spent(front, before)
    assert (added["uncounted_requests"], added["uncounted_bytes_received"]) == (1, sent)


def test_a_refused_request_costs_no_tokens(front: Gateway) -> None:
    """A request that no engine saw is counted as a failure of its key and as nothing else."""
    before = counts(front)
    with front.client(front.key("*")) as client:
        assert client.post("/v1/completions", json={"model": "none"}).status_code == 404
    wait(front, before, failed_requests=1)
    assert {series.model for series in growth(before, counts(front))} == {""}


@pytest.mark.slow
def test_a_count_that_rests_is_forgotten_and_begins_anew(
    fake: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Envoy keeps no count of a key that is not used any more, and none is counted twice."""
    monkeypatch.setattr(bootstrap, "FORGOTTEN_SECONDS", 5)
    with gateway(tmp_path) as short:
        short.serve(models=(model("llama-8b", fake.port),))
        body = CHAT | {"answer": {"usage": USAGE}}
        with short.client(short.key("*")) as client:
            until(lambda: client.get("/v1/models/llama-8b").status_code == 200, 5)
            client.post("/v1/completions", json=body)
            until(lambda: bool(counts(short)), 5)
            before = counts(short)
            until(lambda: not counts(short), 30)
            client.post("/v1/completions", json=body)
        until(lambda: bool(counts(short)), 5)
        assert counts(short) == before


TEXT = st.text(st.sampled_from('ab"\\{}[]: \n,ü') | st.characters(codec="utf-8"), max_size=20)
KEYS = st.sampled_from(["usage", "choices", '"usage":{"prompt_tokens":1}', "data: [DONE]"])
DELTA = st.fixed_dictionaries({"choices": st.lists(TEXT | KEYS, min_size=1, max_size=2)})
USED = 'data: {"choices":[1],"usage":{"prompt_tokens":1}}'
ODD = st.sampled_from(
    [USED, ": ping", "event: x\ndata: {}", "data:", 'data: {"choices":[]}', "id: 1"]
)
EVENTS = st.lists(DELTA.map(lambda d: "data: " + json.dumps(d)) | ODD, max_size=5)


def stream(told: list[str], cuts: tuple[int, ...] = (), end: str = "\n\n") -> dict[str, Any]:
    """Return the request for a stream of these events, sent in pieces."""
    return CHAT | {"stream": True, "told": told, "cuts": cuts, "end": end, "usage": USAGE}


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(EVENTS, st.lists(st.integers(0, 2000), max_size=12), st.sampled_from(["\n\n", "\r\n\r\n"]))
def test_a_caller_gets_the_bytes_that_the_engine_would_send(
    front: Gateway, fake: Engine, told: list[str], cuts: list[int], end: str
) -> None:
    """However a stream is cut into pieces, adding the usage and taking it away changes no byte."""
    body = stream(told, tuple(cuts), end)
    with front.client(front.key("*")) as client:
        through = client.post("/v1/chat/completions", json=body).content
    bare = httpx.post(
        f"http://127.0.0.1:{fake.port}/v1/chat/completions", json=body, trust_env=False
    )
    assert through == bare.content == said(body)


LONG = "x" * 100_000
LARGE = {
    "a text": {"choices": [LONG]},
    "larger than is kept": {"choices": [LONG * 8]},
}


@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.parametrize("asked", ["true", "false"])
def test_large_events_pass_unchanged(front: Gateway, kind: str, asked: str) -> None:
    """An event that is too large to be held is passed on in pieces, and none is lost or doubled."""
    before = counts(front)
    cuts = (10, 70_000, 70_001, 100_030, 100_090)
    body = stream([f"data: {json.dumps(LARGE[kind])}", "data: {}"], cuts) | {
        "stream_options": {"include_usage": json.loads(asked)}
    }
    with front.client(front.key("*")) as client:
        assert client.post("/v1/chat/completions", json=body).content == said(body)
    wait(front, before, requests=1, input_tokens=7, output_tokens=9)


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
def test_a_stream_may_end_with_its_last_word(front: Gateway, end: str) -> None:
    """A stream without the empty line after `[DONE]` arrives whole."""
    body = stream(["data: {}"], (12,), end) | {"abrupt": True}
    with front.client(front.key("*")) as client:
        assert client.post("/v1/chat/completions", json=body).content == said(body)


TRAILED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"Trailer: x-end\r\n\r\n"
)


def test_nothing_is_lost_before_trailers(front: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held of a stream is passed on where trailers end it, as engines behind HTTP/2 do."""
    trailers = {"http_protocol_options": {"enable_trailers": True}}
    monkeypatch.setattr(clusters, "SPOKEN", trailers)
    said = b'data: {"n": 1}\n\ndata: {"n": 2}'
    ends = b"%x\r\n%s\r\n0\r\nx-end: yes\r\n\r\n" % (len(said), said)
    with dying("ends", head=TRAILED + ends) as port:
        front.serve(models=(model("trailed", port),))
        with front.client(front.key("*")) as client:
            until(lambda: client.get("/v1/models/trailed").status_code == 200, 5)
        headers = pseudo(front, ("te", "trailers"))
        with http2(front) as connection:
            stream = connection.ask(headers, end=False)
            asked = b'{"model": "trailed", "stream": true}'
            connection.state.send_data(stream, asked, end_stream=True)
            connection.flush()
            events = connection.until_over(stream)
    came = b"".join(e.data for e in events if isinstance(e, DataReceived))
    assert came == said
    assert [e.headers for e in events if isinstance(e, TrailersReceived)] == [[("x-end", "yes")]]


COUNTS = st.dictionaries(
    st.builds(Series, st.just("requests"), TEXT, TEXT, TEXT, TEXT),
    st.integers(0, 10**15),
    max_size=5,
)


def text_of(written: dict[Series, int]) -> bytes:
    """Return these counts in Prometheus' format, as Envoy writes them."""

    def quoted(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        return f'"{escaped}"'

    text = "# TYPE envoy_modelops_requests counter\n" + "".join(
        f"envoy_modelops_{s.name}{{tenant={quoted(s.tenant)},key={quoted(s.key)},"
        f"model={quoted(s.model)},path={quoted(s.path)}}} {n}\n"
        for s, n in written.items()
    )
    return text.encode()


@given(COUNTS)
def test_a_reading_is_what_was_written(written: dict[Series, int]) -> None:
    """Whatever names are, the counts of a text in Prometheus' format are read back."""
    told = {series: count for series, count in written.items() if count}
    assert growth({}, parse(text_of(written).split(b"\n"))) == told


@given(st.lists(COUNTS, min_size=2, max_size=2))
def test_growth_adds_up(readings: list[dict[Series, int]]) -> None:
    """What grew is the difference, or all of it where a count began anew; never less than zero."""
    before, now = readings
    added = growth(*(parse(text_of(each).split(b"\n")) for each in readings))
    assert all(count > 0 for count in added.values())
    for series, count in now.items():
        assert added.get(series, 0) in {count - before.get(series, 0), count}
