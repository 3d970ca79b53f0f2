"""The document that tells what the gateway offers."""

import json

import pytest
import schemathesis

from docs.pages import ROOT
from gateway.engine import Engine
from gateway.proxy import Gateway
from gateway.test_limits import pods
from modelops.gateway import openapi
from modelops.gateway.routes import PATHS

COMMITTED = ROOT / "docs" / "reference" / "openapi.json"


def test_the_document_is_served_to_who_has_a_key(front: Gateway) -> None:
    """What the gateway serves, what is committed and what the module says are one."""
    with front.client(front.key("llama*")) as client:
        served = client.get("/openapi.json")
    assert served.headers["content-type"] == "application/json"
    assert served.json() == openapi.document() == json.loads(COMMITTED.read_text())
    with front.client() as stranger:
        assert stranger.get("/openapi.json").status_code == 401


def test_the_committed_text_is_the_one_that_people_read() -> None:
    """`make generate` writes the committed file, byte for byte."""
    assert COMMITTED.read_text() == openapi.text(indent=1)


def test_envoy_has_room_for_the_document() -> None:
    """Envoy refuses a longer answer of its own than was announced."""
    assert len(openapi.text().encode()) < openapi.LARGEST


def test_the_document_is_valid() -> None:
    """It is OpenAPI 3.1, and everything that it refers to is there."""
    schemathesis.openapi.from_dict(openapi.document()).validate()
    text = json.dumps(openapi.document())
    for kind, named in openapi.document()["components"].items():
        for name in named:
            referred = f'"#/components/{kind}/{name}"' in text
            assert referred or kind == "securitySchemes" or name == "Refused405"


def test_every_path_that_is_passed_on_is_described() -> None:
    """No path is offered without a word, none is described that is not offered."""
    described = {p for p in openapi.document()["paths"] if not p.startswith("/v1/jobs")}
    assert described == {*PATHS, "/v1/models", "/v1/models/{model}", "/openapi.json"}


def test_what_limits_tell_is_described(
    tmp_path_factory: pytest.TempPathFactory, fake: Engine
) -> None:
    """Each header about a limit is one of the document's, on an answer and on a refusal."""
    with pods(tmp_path_factory.mktemp("told"), fake, "Open") as running:
        key = running.key("terse", rpm=1)
        first, second = running.ask(key, 2)
        assert (first.status_code, second.status_code) == (200, 429)
    responses = openapi.document()["paths"]["/v1/chat/completions"]["post"]["responses"]
    refused = openapi.document()["components"]["responses"]["Refused429"]
    for answer, described in ((first, responses["200"]), (second, refused)):
        told = {name for name in answer.headers if name.startswith(("x-ratelimit", "retry"))}
        assert told
        assert told <= described["headers"].keys()


@pytest.mark.parametrize("path", [*PATHS, "/v1/models", "/openapi.json"])
def test_a_described_method_is_the_only_one(front: Gateway, path: str) -> None:
    """All other methods are 405, with the described one in Allow."""
    described = {m.upper() for m in openapi.document()["paths"][path] if m != "parameters"}
    with front.client(front.key("*")) as client:
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - described:
            answer = client.request(method, path)
            assert (answer.status_code, {answer.headers["allow"]}) == (405, described)
