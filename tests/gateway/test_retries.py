"""What is sent again, and what never is; and replicas that are left alone for a while."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack

import httpx
import pytest

from gateway.conftest import model
from gateway.engine import Engine, engine
from gateway.proxy import Gateway, until
from modelops.gateway import clusters
from modelops.gateway.snapshot import Model

POLICIES = {"least": None, "prefix": "x-session-id"}
PATH = "/v1/chat/completions"


@pytest.fixture(params=POLICIES)
def session_header(request: pytest.FixtureRequest) -> str | None:
    """Return what tells a model with each policy."""
    return POLICIES[request.param]


@pytest.fixture(scope="module")
def pair() -> Iterator[list[Engine]]:
    """Two fake engines."""
    with ExitStack() as stack:
        yield [stack.enter_context(engine()) for _ in range(2)]


def seen(engines: list[Engine]) -> int:
    """Return how many requests have reached engines."""
    return sum(len(one.requests) for one in engines)


def serve(front: Gateway, client: httpx.Client, served: Model) -> None:
    """Serve one model and wait until Envoy knows it."""
    front.serve(models=(served,))
    until(lambda: client.get(f"/v1/models/{served.served_name}").status_code == 200, 5)


def ask(client: httpx.Client, name: str, number: int = 0, **body: object) -> httpx.Response:
    """Send a chat whose first message has a number."""
    said = [{"role": "user", "content": f"prompt {number}"}]
    return client.post(PATH, json={"model": name, "messages": said, **body})


def test_what_an_engine_has_seen_is_never_sent_again(
    front: Gateway, pair: list[Engine], session_header: str | None
) -> None:
    """An engine that breaks off without an answer costs its caller an error, and nobody twice."""
    served = model("broken", *[e.port for e in pair], session_header=session_header)
    with front.client(front.key("*")) as client:
        serve(front, client, served)
        start = seen(pair)
        for number in range(6):
            before = seen(pair)
            answer = ask(client, "broken", number, breaks=True)
            assert answer.status_code in {502, 503}
            assert seen(pair) <= before + 1
        assert seen(pair) > start
        assert front.stats(r"cluster\.team\.broken\.upstream_rq_retry$").popitem()[1] == 0


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_an_engines_own_error_is_passed_on_once(
    front: Gateway, pair: list[Engine], session_header: str | None, status: int
) -> None:
    """What an engine answers is its caller's: neither tried again nor reworded."""
    served = model(f"fails-{status}", *[e.port for e in pair], session_header=session_header)
    with front.client(front.key("*")) as client:
        serve(front, client, served)
        before = seen(pair)
        answer = ask(client, served.served_name, status=status)
    assert (answer.status_code, answer.json()["path"]) == (status, PATH)
    assert seen(pair) == before + 1


def test_an_unreachable_replica_costs_no_request(
    front: Gateway, pair: list[Engine], session_header: str | None
) -> None:
    """Each request reaches exactly one engine, though half of the replicas cannot be reached."""
    with ExitStack() as stack:
        gone = [stack.enter_context(engine()).port for _ in range(2)]
    ports = [*gone, *(e.port for e in pair)]
    with front.client(front.key("*")) as client:
        serve(front, client, model("half", *ports, session_header=session_header))
        before = seen(pair)
        codes = [ask(client, "half", number).status_code for number in range(30)]
    assert codes == [200] * 30
    assert seen(pair) == before + 30


@pytest.mark.slow
def test_an_ejected_replica_comes_back(
    front: Gateway, pair: list[Engine], session_header: str | None
) -> None:
    """A replica that failed thrice gets nothing for some seconds, and its share after that."""
    with engine() as brief:
        port = brief.port
    served = model("heals", port, pair[0].port, session_header=session_header)

    def stat(name: str) -> int:
        return front.stats(rf"cluster\.team\.heals\.{name}$").popitem()[1]

    with front.client(front.key("*")) as client:
        serve(front, client, served)
        numbers = iter(range(10_000))
        until(
            lambda: (
                ask(client, "heals", next(numbers)).status_code == 200
                and stat(r"outlier_detection\.ejections_active") == 1
            ),
            10,
        )
        failed = stat("upstream_cx_connect_fail")
        for number in range(20):
            assert ask(client, "heals", number).status_code == 200
        assert stat("upstream_cx_connect_fail") == failed
        with engine(port) as healed:
            until(
                lambda: (
                    ask(client, "heals", next(numbers)).status_code == 200
                    and len(healed.requests) > 0
                ),
                30,
            )
    assert stat(r"outlier_detection\.ejections_active") == 0


def test_more_than_a_cluster_may_have_is_busy_and_not_away(
    front: Gateway, fake: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Envoy's circuit breaker keeps off is 429 in OpenAI's shape, and says when to return."""
    monkeypatch.setattr(clusters, "MOST", 1)
    body = {"model": "tight", "messages": [], "stream": True, "gated": True}
    with front.client(front.key("*")) as client, ThreadPoolExecutor() as pool:
        serve(front, client, model("tight", fake.port))
        with client.stream("POST", PATH, json=body) as running:
            assert running.status_code == 200
            asked = [pool.submit(ask, client, "tight", number) for number in range(4)]
            done, waiting = wait(asked, return_when=FIRST_COMPLETED, timeout=10)
            refused = [one.result() for one in done]
        passed = [one.result() for one in waiting]
    assert {answer.status_code for answer in refused} == {429}
    assert refused[0].json()["error"]["code"] == "model_busy"
    assert refused[0].headers["content-type"] == "application/json"
    assert int(refused[0].headers["retry-after"]) >= 1
    assert {answer.status_code for answer in passed} <= {200, 429}
    assert any(front.stats("tight.upstream_rq_pending_overflow").values())


def test_no_breaker_of_an_untouched_cluster_breaks(front: Gateway, fake: Engine) -> None:
    """A model takes as many requests at a time as Envoy does; its engine queues by itself."""
    with front.client(front.key("*")) as client, ThreadPoolExecutor(16) as pool:
        serve(front, client, model("wide", fake.port))
        answers = pool.map(lambda number: ask(client, "wide", number), range(64))
        assert {answer.status_code for answer in answers} == {200}
