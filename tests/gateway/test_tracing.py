"""Trace context passes through, and spans reach a collector where there is one."""

from collections.abc import Iterator

import pytest

from gateway.collector import Collecting, collector
from gateway.conftest import model
from gateway.engine import Engine
from gateway.proxy import Gateway, gateway, until
from gateway.test_usage import CHAT, USAGE, stream
from modelops.gateway.snapshot import Collector

CHATS = "/v1/chat/completions"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "a=b"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"}


@pytest.fixture
def collecting() -> Iterator[Collecting]:
    """A collector."""
    with collector() as started:
        yield started


@pytest.fixture
def traced(
    collecting: Collecting, fake: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """An Envoy that traces no request but those whose callers say so."""
    where = Collector("127.0.0.1", collecting.port, 0)
    with gateway(tmp_path_factory.mktemp("envoy"), collector=where) as started:
        started.serve(models=(model("llama-8b", fake.port),))
        with started.client(started.key("*")) as client:
            until(lambda: client.get("/v1/models/llama-8b").status_code == 200, 5)
        yield started


def test_trace_context_reaches_the_engine_unchanged(front: Gateway, fake: Engine) -> None:
    """Without a collector the engine continues the caller's own trace."""
    with front.client(front.key("*"), **PARENT) as client:
        client.post(CHATS, json=CHAT)
    _, _, headers = fake.requests[-1]
    assert {name: headers[name] for name in PARENT} == PARENT


BODIES = {"streamed": stream(["data: {}"]), "whole": CHAT | {"answer": {"usage": USAGE}}}


@pytest.mark.parametrize("kind", BODIES)
def test_a_request_is_a_span(
    traced: Gateway, collecting: Collecting, fake: Engine, kind: str
) -> None:
    """It is the caller's span's child and the engine's parent, and tells what was used."""
    record = traced.record("*")
    with traced.client(traced.signing.sign(record), **PARENT) as client:
        assert client.post(CHATS, json=BODIES[kind]).status_code == 200
    (span,) = collecting.spans()
    told = {each.key: each.value for each in span.attributes}
    assert (span.name, span.trace_id.hex()) == (f"POST {CHATS}", TRACE)
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    assert fake.requests[-1][2]["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert {key: told[key].string_value for key in told if key.startswith(("gen_ai", "model"))} == {
        "gen_ai.request.model": "llama-8b",
        "gen_ai.provider.name": "modelops",
        "gen_ai.usage.input_tokens": "7",
        "gen_ai.usage.output_tokens": "9",
        "modelops.tenant": "acme",
        "modelops.key": record.id,
    }


def test_a_request_is_not_traced_unasked(traced: Gateway, collecting: Collecting) -> None:
    """With zero percent neither a caller who says no nor one who says nothing is traced."""
    for headers in (UNSAMPLED, {}, PARENT):
        with traced.client(traced.key("*"), **headers) as client:
            client.post(CHATS, json=CHAT)
    (span,) = collecting.spans()
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, "b7ad6b7169203331")


def test_requests_do_not_wait_for_a_collector(
    fake: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A collector that is away costs spans and no request."""
    where = Collector("no-such-host.invalid", 4318, 100)
    with gateway(tmp_path_factory.mktemp("envoy"), collector=where) as started:
        started.serve(models=(model("llama-8b", fake.port),))
        with started.client(started.key("*")) as client:
            until(lambda: client.get("/v1/models/llama-8b").status_code == 200, 5)
            assert client.post(CHATS, json=CHAT).status_code == 200
