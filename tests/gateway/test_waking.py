"""What a real Envoy does with requests of models that may be at zero: who gets them, and when."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from gateway.conftest import model
from gateway.engine import Engine, engine
from gateway.proxy import Gateway, free_ports, gateway, until
from modelops.gateway.snapshot import Model, Route, Scale, Target
from modelops.gateway.waking import CHAINED, REFUSED

PATH = "/v1/chat/completions"
RESTS = Scale(minimum=0, asked=0)


@pytest.fixture(scope="module")
def last() -> Iterator[Engine]:
    """What stands where the activator does: an engine that tells what reached it."""
    with engine() as started:
        yield started


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, last: Engine) -> Iterator[Gateway]:
    """An Envoy beside it."""
    folder = tmp_path_factory.mktemp("waking")
    with gateway(folder, activator_port=last.port) as started:
        yield started
        assert not any(started.stats("update_(rejected|failure)").values())


def rests(name: str, *ports: int, **fields: Any) -> Model:
    """Return a model that may be at zero."""
    return model(name, *ports, scale=RESTS, **fields)


@contextmanager
def serve(door: Gateway, *models: Model, routes: tuple[Route, ...] = ()) -> Iterator[httpx.Client]:
    """Serve these; give a client when Envoy knows them and their states."""
    door.serve(models=models, routes=routes)
    told = {offer.served_name: offer.state for offer in (*models, *routes)}
    with door.client(door.key("*")) as client:

        def known() -> bool:
            listed = client.get("/v1/models").json().get("data", [])
            return {one["id"]: one["status"] for one in listed} == told

        until(known, 5)
        yield client


def ask(client: httpx.Client, name: str, **body: Any) -> httpx.Response:
    """Send a chat."""
    return client.post(PATH, json={"model": name, "messages": [], **body})


@pytest.mark.parametrize("session_header", [None, "x-session-id"])
def test_it_is_reached_at_zero_and_told_for_which_model(
    door: Gateway, last: Engine, session_header: str | None
) -> None:
    """The model is told by Envoy, and whether another stands in; a caller's words are not."""
    lies = {"Host": "other.model", CHAINED: "1"}
    with serve(door, rests("sleepy", session_header=session_header)) as client:
        plain = client.post(PATH, json={"model": "sleepy"}, headers=lies)
        assert plain.status_code == 200
        _, _, headers = last.requests[-1]
        told = {name.lower(): value for name, value in headers.items()}
        assert told["host"] == "team.sleepy"
        assert CHAINED not in told
        assert int(told["content-length"]) > 0


def test_it_is_off_the_path_as_long_as_one_replica_is_well(
    door: Gateway, last: Engine, fake: Engine
) -> None:
    """With nine of ten replicas gone, those that are left get everything that they can."""
    dead = free_ports(9)
    with serve(door, rests("many", fake.port, *dead)) as client:
        before = len(last.requests)
        ports = {ask(client, "many").json().get("port") for _ in range(60)}
        assert ports <= {fake.port, None}
        assert len(last.requests) == before


def test_it_gets_what_no_replica_can_be_asked(door: Gateway, last: Engine) -> None:
    """When the only replica is left out as sick, requests wait where they would at zero."""
    (dead,) = free_ports(1)
    with serve(door, rests("sick", dead)) as client:
        until(lambda: ask(client, "sick").json().get("port") == last.port, 5)


def test_its_refusals_leave_it_on_the_path(door: Gateway) -> None:
    """However often it refuses, it is asked again, and what it says is passed on."""
    with serve(door, rests("refused")) as client:
        answers = [ask(client, "refused", status=503) for _ in range(12)]
    assert [(a.status_code, "got" in a.json()) for a in answers] == [(503, True)] * 12


def test_a_chain_waits_for_its_target_and_goes_on_when_that_cannot_start(
    door: Gateway, last: Engine, fake: Engine
) -> None:
    """The chosen model at zero is woken; the next one answers where that is refused."""
    spare, first = model("spare", fake.port), rests("first")
    route = Route("chat", "team", "chat", targets=(Target(first),), fallback=(spare,))
    with serve(door, first, spare, routes=(route,)) as client:
        assert ask(client, "chat").json()["port"] == last.port
        told = {name.lower(): value for name, value in last.requests[-1][2].items()}
        assert (told[CHAINED], told["host"]) == ("1", "team.first")
        last.extra = {REFUSED: "model_off"}
        try:
            large = {"messages": [{"role": "user", "content": "x" * 500_000}]}
            for body in ({}, large):
                assert ask(client, "chat", **body).json()["port"] == fake.port
            assert ask(client, "first").json()["port"] == last.port
        finally:
            last.extra = {}


def test_shares_of_a_group_tell_which_model_was_chosen(door: Gateway, last: Engine) -> None:
    """Of a group, each model at zero is named by its own requests."""
    parts = (Target(rests("one")), Target(rests("two")))
    route = Route("both", "team", "both", targets=parts)
    with serve(door, *(p.model for p in parts), routes=(route,)) as client:
        named = set()

        def both() -> bool:
            ask(client, "both")
            named.add(last.requests[-1][2]["Host"])
            return named == {"team.one", "team.two"}

        until(both, 10)


def test_an_activator_that_starts_anew_is_waited_for(tmp_path: Any) -> None:
    """While nothing listens there, new requests are tried again for some seconds."""
    with ExitStack() as stack:
        (port,) = free_ports(1)
        front = stack.enter_context(gateway(tmp_path, activator_port=port))
        client = stack.enter_context(serve(front, rests("sleepy")))
        refused = ask(client, "sleepy")
        assert refused.status_code == 503
        assert front.stats(r"cluster\.team\.sleepy\.upstream_rq_retry$").popitem()[1] > 2
        assert refused.json()["error"]["code"] == "model_unavailable"
        stack.enter_context(engine(port))
        assert ask(client, "sleepy").json()["port"] == port
