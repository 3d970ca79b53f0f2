"""Which model answers to a route's name on a real Envoy, and who may use what."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from gateway.conftest import model
from gateway.engine import EVENTS, Engine, engine
from gateway.proxy import Gateway, free_ports, until
from modelops.api.grants import granted
from modelops.gateway.snapshot import Model, Route, Target, Tenant

PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[Engine, Engine]]:
    """Two fake engines besides the one that all tests share."""
    with ExitStack() as stack:
        yield stack.enter_context(engine()), stack.enter_context(engine())


def route(name: str, *targets: Model | Target, fallback: tuple[Model, ...] = ()) -> Route:
    """Return a route of the namespace `team`."""
    found = tuple(t if isinstance(t, Target) else Target(t) for t in targets)
    return Route(name, "team", name, 1, found, fallback)


def port_of(client: httpx.Client, name: str) -> int | None:
    """Return the port of the replica that answers to a name; None when none does."""
    answer = client.post(PATH, json={"model": name})
    return answer.json()["port"] if answer.status_code == 200 else None


def listed(client: httpx.Client) -> list[str]:
    """Return the names that a caller is shown."""
    return [entry["id"] for entry in client.get("/v1/models").json()["data"]]


def ready(client: httpx.Client, name: str) -> None:
    """Wait until a name is known."""
    until(lambda: client.get(f"/v1/models/{name}").status_code == 200, 5)


def answers(client: httpx.Client, name: str) -> None:
    """Wait until a name is answered: Envoy may know its route before its clusters."""
    until(lambda: port_of(client, name) is not None, 5)


def test_an_alias_leads_to_its_model_and_is_what_is_judged(front: Gateway, fake: Engine) -> None:
    """A grant of the alias suffices and one of the model does not; the body passes unchanged."""
    front.serve(routes=(route("best", model("llama-8b", fake.port)),))
    body = {"model": "best", "messages": [{"role": "user", "content": "é"}]}
    with front.client(front.key("best")) as client, front.client(front.key("llama*")) as other:
        ready(client, "best")
        assert client.post(PATH, json=body).json()["got"] == body
        assert listed(client) == ["best"]
        assert client.post(PATH, json={"model": "llama-8b"}).status_code == 404
        assert other.post(PATH, json=body).status_code == 404
        assert listed(other) == ["llama-8b"]


def test_long_names_and_many_tenants_keep_nobody_from_being_served(
    front: Gateway, fake: Engine
) -> None:
    """The longest name that an object may give is served, beside 2,000 restricted tenants."""
    name = "".join(chr(ord("a") + n * 7 % 26) for n in range(255))
    tenants = (Tenant(f"team-{n * 7919}-of-many", models=(name,)) for n in range(2000))
    front.serve(models=(model(name, fake.port), model("other")), tenants=tuple(tenants))
    with (
        front.client(front.key("*")) as free,
        front.client(front.key(f"{name[:200]}*", tenant="team-7919-of-many")) as client,
    ):
        answers(free, name)
        assert port_of(client, name) == fake.port
        assert listed(client) == [name]


def test_a_target_needs_no_name_of_its_own(front: Gateway, fake: Engine) -> None:
    """A model whose own name belongs to an older one is still reached through its route."""
    hidden = Model("llama-8b", "other", "mine", 9, model("x", fake.port).endpoints)
    front.serve(models=(model("llama-8b"),), routes=(route("mine", hidden),))
    with front.client(front.key("*")) as client:
        answers(client, "mine")
        assert port_of(client, "mine") == fake.port
        assert port_of(client, "llama-8b") is None


def test_a_group_shares_requests_by_weight(
    front: Gateway, fake: Engine, engines: tuple[Engine, Engine]
) -> None:
    """Of 400 requests a target with 9 of 10 shares gets about 360, one without a share none."""
    first, second = engines
    shared = route(
        "group",
        Target(model("a", fake.port), 90),
        Target(model("b", first.port), 10),
        Target(model("c", second.port), 0),
    )
    front.serve(routes=(shared,))
    with front.client(front.key("*")) as client:
        answers(client, "group")
        seen = Counter(port_of(client, "group") for _ in range(400))
    assert seen.keys() == {fake.port, first.port}
    assert 320 <= seen[fake.port] <= 390  # more than five standard deviations each way


def test_what_belongs_together_stays_with_one_target(
    front: Gateway, fake: Engine, engines: tuple[Engine, Engine]
) -> None:
    """Where a model asks for affinity a session has one model and one replica of the group."""
    header = "x-session-id"
    a = model("a", fake.port, engines[0].port, session_header=header)
    b = model("b", engines[1].port, session_header=header)
    front.serve(routes=(route("group", a, b, fallback=(a, b)),))
    with front.client(front.key("*")) as client:
        answers(client, "group")

        def replica(session: int) -> int:
            headers = {header: f"session {session}"}
            answer = client.post(PATH, json={"model": "group"}, headers=headers)
            return int(answer.json()["port"])

        first = [replica(session) for session in range(60)]
        assert [replica(session) for session in range(60)] == first
    assert Counter(first).keys() == {fake.port, engines[0].port, engines[1].port}
    assert 15 <= first.count(engines[1].port) <= 45


@contextmanager
def closing() -> Iterator[tuple[int, list[bytes]]]:
    """Listen as an engine that takes a request and closes the connection without an answer."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    seen.append(connection.recv(65536))

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def dead(replicas: int) -> tuple[int, ...]:
    """Return ports where nobody listens."""
    return tuple(free_ports(replicas))


@pytest.mark.parametrize("replicas", [0, 1, 2, 3])
def test_the_next_of_the_chain_answers(
    front: Gateway, engines: tuple[Engine, Engine], replicas: int
) -> None:
    """Without a replica that can be reached every request is answered by the next model.

    That is so from the first request on, when nobody knows yet that they are dead, and later.
    """
    first, second = engines
    chain = (model("b", *dead(replicas)), model("c", first.port), model("d", second.port))
    front.serve(routes=(route("chat", model("a", *dead(replicas)), fallback=chain),))
    with front.client(front.key("*")) as client:
        answers(client, "chat")
        assert [port_of(client, "chat") for _ in range(20)] == [first.port] * 20


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_what_is_known_to_be_dead_is_not_tried_again(
    front: Gateway, engines: tuple[Engine, Engine], replicas: int
) -> None:
    """After a few failures nobody waits for a target of which no replica can be reached."""
    target, stand_in = model(f"dead-{replicas}", *dead(replicas)), model("b", engines[0].port)
    front.serve(routes=(route("chat", target, fallback=(stand_in,)),))
    stat = rf"^cluster\.team\.dead-{replicas}\.upstream_cx_connect_fail$"

    def failures() -> int:
        """Return how many connections a request has tried in vain."""
        before = sum(front.stats(stat).values())
        assert port_of(client, "chat") == engines[0].port
        return sum(front.stats(stat).values()) - before

    with front.client(front.key("*")) as client:
        answers(client, "chat")
        until(lambda: failures() == 0, 20)
    assert sum(front.stats(stat).values()) > 0


def test_a_chain_that_is_dead_to_its_end_is_unavailable(front: Gateway) -> None:
    """When no model of the chain answers it is 503 with the time to try again."""
    chain = (model("b", *dead(1)), model("c"))
    front.serve(routes=(route("chat", model("a", *dead(1)), fallback=chain), route("none")))
    with front.client(front.key("*")) as client:
        ready(client, "chat")
        for name in ("chat", "none") * 5:
            answer = client.post(PATH, json={"model": name})
            assert (answer.status_code, answer.json()["error"]["code"]) == (
                503,
                "model_unavailable",
            )
            assert int(answer.headers["retry-after"]) > 0


def test_one_living_replica_is_enough_to_stay(
    front: Gateway, fake: Engine, engines: tuple[Engine, Engine]
) -> None:
    """While one replica of the target answers, the next model of the chain gets nothing much."""
    a = model("a", fake.port, *dead(1))
    front.serve(routes=(route("chat", a, fallback=(model("b", engines[0].port),)),))
    with front.client(front.key("*")) as client:
        answers(client, "chat")
        assert {port_of(client, "chat") for _ in range(20)} == {fake.port}


def test_every_target_of_a_group_has_the_chain(
    front: Gateway, engines: tuple[Engine, Engine]
) -> None:
    """Targets may stand in for each other: with one of them dead the other has all requests."""
    a, b = model("a", *dead(2)), model("b", engines[0].port)
    front.serve(routes=(route("chat", a, b, fallback=(b, a)),))
    with front.client(front.key("*")) as client:
        answers(client, "chat")
        assert {port_of(client, "chat") for _ in range(40)} == {engines[0].port}


def test_what_an_engine_has_seen_is_not_sent_to_another(
    front: Gateway, engines: tuple[Engine, Engine]
) -> None:
    """An engine that takes a request and breaks off may have done the work: nobody repeats it."""
    before = len(engines[0].requests)
    with closing() as (port, seen):
        chain = (model("b", engines[0].port),)
        front.serve(routes=(route("chat", model("a", port), fallback=chain),))
        with front.client(front.key("*")) as client:
            until(
                lambda: client.post(PATH, json={"model": "chat"}).status_code >= 500 and any(seen),
                5,
            )
        assert len(seen) == 1
    assert len(engines[0].requests) == before


def test_a_target_comes_and_goes_without_breaking_a_stream(
    front: Gateway, fake: Engine, engines: tuple[Engine, Engine]
) -> None:
    """Scaled to zero the chain answers, back again the target does; the open stream goes on."""
    stand_in = (model("b", engines[0].port),)
    with_replica = route("chat", model("a", fake.port), fallback=stand_in)
    front.serve(routes=(with_replica,))
    body = {"model": "chat", "stream": True, "gated": True}
    key = front.key("*")
    with front.client(key) as client, front.client(key) as other:
        answers(client, "chat")
        with client.stream("POST", PATH, json=body) as answer:
            lines = (line for line in answer.iter_lines() if line)
            fake.release()
            assert next(lines)
            front.serve(routes=(route("chat", model("a"), fallback=stand_in),))
            until(lambda: port_of(other, "chat") == engines[0].port, 5)
            front.serve(routes=(with_replica,))
            until(lambda: port_of(other, "chat") == fake.port, 5)
            front.serve(routes=())
            until(lambda: other.get("/v1/models/chat").status_code == 404, 5)
            for _ in range(EVENTS - 1):
                fake.release()
            assert [*lines][-1] == "data: [DONE]"


def test_a_route_that_changes_refuses_nobody(
    front: Gateway, fake: Engine, engines: tuple[Engine, Engine]
) -> None:
    """From an alias to a chain, to a group and back: every request meanwhile is answered."""
    a, b = model("a", fake.port), model("b", engines[0].port)
    forms = (route("chat", a), route("chat", a, fallback=(b,)), route("chat", a, b))
    codes: list[int] = []
    over = threading.Event()

    def ask() -> None:
        with front.client(front.key("*")) as client:
            while not over.is_set():
                codes.append(client.post(PATH, json={"model": "chat"}).status_code)

    front.serve(routes=(forms[0],))
    with front.client(front.key("*")) as client:
        answers(client, "chat")
        caller = threading.Thread(target=ask)
        caller.start()
        for number in range(1, 10):
            answered = len(codes)
            front.serve(routes=(forms[number % 3],))
            until(lambda answered=answered: len(codes) > answered + 50, 20)
        over.set()
        caller.join()
    assert set(codes) == {200}


TENANTS = {
    "by name": Tenant("acme", models=("llama*",)),
    "by namespace": Tenant("acme", namespaces=("team",)),
    "by both": Tenant("acme", models=("llama*", "far"), namespaces=("team", "nowhere")),
}


@pytest.mark.parametrize("tenant", TENANTS.values(), ids=TENANTS)
def test_a_tenant_narrows_what_its_keys_name(front: Gateway, fake: Engine, tenant: Tenant) -> None:
    """A key opens what both it and its tenant allow; other tenants' keys are as before."""
    models = (model("llama-8b", fake.port), model("far", fake.port, namespace="away"))
    front.serve(models=models, tenants=(tenant,))
    with (
        front.client(front.key("*")) as client,
        front.client(front.key("far")) as narrow,
        front.client(front.key("*", tenant="other")) as other,
    ):
        until(lambda: listed(client) == ["llama-8b"], 5)
        answers(client, "llama-8b")
        answers(other, "far")
        refused = client.post(PATH, json={"model": "far"})
        unknown = client.post(PATH, json={"model": "xyz"})
        assert refused.status_code == 404
        assert refused.text.replace("far", "xyz") == unknown.text
        assert client.get("/v1/models/far").status_code == 404
        assert listed(narrow) == []
        assert narrow.post(PATH, json={"model": "llama-8b"}).status_code == 404
        assert listed(other) == ["far", "llama-8b"]
        assert port_of(other, "far") == fake.port
        front.serve(tenants=())
        until(lambda: port_of(client, "far") == fake.port, 5)


MATRIX = (
    Tenant("a", models=("m*",), namespaces=("x",)),
    Tenant("a-b", models=("m1", "n1")),
    Tenant("b", models=()),
    Tenant("c", namespaces=("y",)),
    Tenant("free"),
)
GRANTS = (("*",), ("m*",), ("n1", "m2"), ())


def test_key_and_tenant_are_both_asked_of_every_model(front: Gateway, fake: Engine) -> None:
    """Among tenants whose names begin alike each is shown, and let to, what both allow."""
    models = tuple(
        model(name, fake.port, namespace=space)
        for name, space in (("m1", "x"), ("m2", "y"), ("n1", "y"), ("n2", "x"))
    )
    front.serve(models=models, tenants=MATRIX)
    with front.client(front.key("*", tenant="b")) as shut:
        until(lambda: listed(shut) == [], 5)
    with front.client(front.key("*", tenant="free")) as free:
        for each in models:
            answers(free, each.served_name)
    everyone = {t.name: t for t in MATRIX} | {n: Tenant(n) for n in ("", "ab", "a-b-c", "-b")}
    for name, tenant in everyone.items():
        for grants in GRANTS:
            both = [m for m in models if tenant.may_use(m) and granted(m.served_name, grants)]
            expected = [m.served_name for m in both]
            with front.client(front.key(*grants, tenant=name)) as client:
                assert listed(client) == expected
                opened = [m.served_name for m in models if port_of(client, m.served_name)]
                assert opened == expected


def test_a_tenant_never_widens_a_key(front: Gateway) -> None:
    """What a key does not name stays shut, whatever its tenant may use."""
    front.serve(tenants=(Tenant("acme", models=("*",)), Tenant("shut", models=())))
    with (
        front.client(front.key("llama*")) as client,
        front.client(front.key("*", tenant="shut")) as shut,
    ):
        until(lambda: listed(shut) == [], 5)
        assert listed(client) == ["llama-8b"]
        assert client.post(PATH, json={"model": "Qwen/Qwen3-8B"}).status_code == 404
        assert shut.post(PATH, json={"model": "llama-8b"}).status_code == 404


def test_a_tenant_is_judged_by_the_name_and_namespace_of_the_route(
    front: Gateway, fake: Engine
) -> None:
    """Whoever may use a route's name gets its models without naming them."""
    front.serve(
        routes=(route("best", model("llama-8b", fake.port)),),
        tenants=(Tenant("acme", models=("best",), namespaces=("team",)),),
    )
    with front.client(front.key("*")) as client:
        until(lambda: listed(client) == ["best"], 5)
        assert port_of(client, "best") == fake.port
        assert port_of(client, "llama-8b") is None


def test_what_is_wrong_with_a_request_is_told_to_restricted_tenants_too(front: Gateway) -> None:
    """The answers to malformed requests are the same for whoever is restricted."""
    front.serve(tenants=(Tenant("acme", models=()),))
    with front.client(front.key("*")) as client:
        until(lambda: listed(client) == [], 5)
        codes = [
            client.post(PATH, content=b"{", headers={"Content-Type": "application/json"}),
            client.post(PATH, json={}),
            client.post(PATH, content=b"model=a", headers={"Content-Type": "text/plain"}),
            client.get(PATH),
            client.get("/v1/nothing"),
        ]
    assert [answer.status_code for answer in codes] == [400, 400, 415, 405, 404]
