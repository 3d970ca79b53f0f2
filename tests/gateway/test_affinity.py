"""Requests that belong together reach one replica, as long as it has room."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.conftest import model
from gateway.engine import Engine, engine
from gateway.proxy import Gateway, gateway, until

KEYS = 60
SESSION = "x-session-id"
Json = dict[str, Any]


@dataclass
class Fleet:
    """Three replicas of the model `sticky` behind an Envoy."""

    front: Gateway
    replicas: list[Engine]
    client: httpx.Client

    def serve(self, *replicas: Engine, **fields: Any) -> None:
        """Have these replicas serve, and wait until Envoy knows."""
        stamp = str(self.front.stats("cluster_manager.cds.update_success"))
        ports = [r.port for r in replicas]
        served = model("sticky", *ports, session_header=SESSION, **fields)
        if "clusters.json" in self.front.serve(models=(served,)):
            until(lambda: str(self.front.stats("cluster_manager.cds.update_success")) != stamp, 5)
        until(lambda: self.client.get("/v1/models/sticky").status_code == 200, 5)

    def ask(self, body: Json, path: str = "chat/completions", **headers: str) -> int:
        """Return the port of the replica that a request reaches."""
        answer = self.client.post(f"/v1/{path}", json={"model": "sticky"} | body, headers=headers)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["port"])


@pytest.fixture(scope="module")
def engines() -> Iterator[list[Engine]]:
    """Three fake engines."""
    with ExitStack() as stack:
        yield [stack.enter_context(engine()) for _ in range(3)]


@pytest.fixture
def fleet(front: Gateway, engines: list[Engine]) -> Iterator[Fleet]:
    """Return the fleet with all three replicas."""
    with front.client(front.key("*")) as client:
        made = Fleet(front, engines, client)
        made.serve(*engines)
        yield made


def talk(*said: tuple[str, Any], **fields: Any) -> Json:
    """Return a conversation: role and content by turns."""
    return {"messages": [{"role": r, "content": c} for r, c in said], **fields}


def spread(fleet: Fleet) -> list[int]:
    """Return where each of some prompts goes."""
    return [fleet.ask(talk(("user", f"prompt {number}"))) for number in range(KEYS)]


LONG = "Answer as a pirate. " * 100
HELLO = "one: Hello, w\u00f6rld \U0001f600"
PARTS = [{"type": "text", "text": HELLO}]
EQUAL = {
    "later turns": (
        talk(("user", "one")),
        talk(("user", "one"), ("assistant", "two"), ("user", "three")),
    ),
    "system prompt": (
        talk(("system", LONG), ("user", "one")),
        talk(("system", LONG), ("user", "one"), ("assistant", "other")),
    ),
    "long first message": (
        talk(("user", "one" + "x" * 1024 + "tail")),
        talk(("user", "one" + "x" * 1024 + "other")),
    ),
    "parts": (talk(("user", PARTS)), talk(("user", HELLO))),
    "other fields": (
        talk(("user", "one")),
        {"tools": [{"messages": '[{]}\\"'}], "temperature": 1, **talk(("user", "one"))},
    ),
    "cache key": (
        talk(("user", "two"), prompt_cache_key="one"),
        talk(("user", "three"), prompt_cache_key="one"),
    ),
    "larger than what is looked at": (
        talk(("user", "one"), ("assistant", "x" * 100_000)),
        talk(("user", "one"), ("assistant", "y" * 100_000), prompt_cache_key="late"),
    ),
    "completion": ({"prompt": "one"}, {"prompt": ["one"], "max_tokens": 2}),
    "tokens": ({"prompt": [1] * 2000}, {"prompt": [1] * 2000 + [2]}),
    "responses": (
        {"instructions": "two", "input": "one"},
        {"input": [{"role": "user", "content": "one"}], "instructions": "two"},
    ),
}


@pytest.mark.parametrize("kind", EQUAL)
def test_what_begins_alike_goes_to_one_replica(fleet: Fleet, kind: str) -> None:
    """Equal beginnings have equal places, whatever follows or stands around them."""
    for number in range(8):
        one, other = (
            json.loads(json.dumps(body).replace("one", f"one{number}")) for body in EQUAL[kind]
        )
        assert fleet.ask(one) == fleet.ask(other)


def test_how_json_is_written_does_not_matter(fleet: Fleet) -> None:
    """Spaces, order of fields and escapes leave a conversation what it is."""
    turns = st.tuples(st.sampled_from(["system", "user"]), st.text(min_size=1))

    @settings(max_examples=40, deadline=None)
    @given(st.lists(turns, min_size=1))
    def same(said: list[tuple[str, str]]) -> None:
        body = {"model": "sticky", **talk(*said)}
        one = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        other = json.dumps(body | {"n": 1}, sort_keys=True, indent=3)
        assert port(fleet, one.encode()) == port(fleet, other.encode())

    same()


def port(fleet: Fleet, body: bytes) -> int:
    """Return the port of the replica that takes a body as it is."""
    headers = {"content-type": "application/json"}
    answer = fleet.client.post("/v1/chat/completions", content=body, headers=headers)
    return int(answer.json()["port"])


def test_a_session_stays_whatever_it_says(fleet: Fleet) -> None:
    """Requests with one session header reach one replica, and another session another one."""
    places = {
        session: {
            fleet.ask(
                talk(("user", f"{number}"), prompt_cache_key=f"{number}"), **{SESSION: session}
            )
            for number in range(8)
        }
        for session in map(str, range(20))
    }
    assert {len(ports) for ports in places.values()} == {1}
    assert len(set().union(*places.values())) == 3


def test_keys_are_spread_over_all_replicas(fleet: Fleet) -> None:
    """No replica has more than its share of different prompts, by much."""
    counts = Counter(spread(fleet))
    assert len(counts) == 3
    assert min(counts.values()) >= 5


def test_every_gateway_pod_has_the_same_places(fleet: Fleet, tmp_path: Path) -> None:
    """Two gateways that never heard of each other send a key to the same replica."""
    with gateway(tmp_path) as second, second.client(second.key("*")) as client:
        twin = Fleet(second, fleet.replicas, client)
        twin.serve(*reversed(fleet.replicas))
        assert spread(twin) == spread(fleet)


def test_a_replica_that_goes_away_moves_only_its_own_keys(fleet: Fleet) -> None:
    """Keys of the others stay where they are, and all come back with it."""
    before = spread(fleet)
    gone, *rest = fleet.replicas
    fleet.serve(*rest)
    moved = spread(fleet)
    assert all(now == was for now, was in zip(moved, before, strict=True) if was != gone.port)
    assert gone.port not in moved
    fleet.serve(*fleet.replicas)
    assert spread(fleet) == before


def test_a_hot_prompt_is_shared_when_a_replica_has_too_many(fleet: Fleet) -> None:
    """A replica keeps a key up to one and a half times the mean load, and then others help."""
    before = [len(replica.requests) for replica in fleet.replicas]
    hot = talk(("user", "hot"), held=True)
    threads = [threading.Thread(target=fleet.ask, args=(hot,)) for _ in range(18)]

    def shares() -> list[int]:
        return [len(r.requests) - b for r, b in zip(fleet.replicas, before, strict=True)]

    for number, thread in enumerate(threads, 1):
        thread.start()
        until(lambda number=number: sum(shares()) == number, 10)
    for replica, share in zip(fleet.replicas, shares(), strict=True):
        for _ in range(share):
            replica.release()
    for thread in threads:
        thread.join()
    assert max(shares()) <= 10


def test_a_replica_that_cannot_be_reached_is_passed_over(fleet: Fleet) -> None:
    """Its keys are served by another one, without an error."""
    with engine() as brief:
        pass
    fleet.serve(brief, *fleet.replicas[:1])
    assert set(spread(fleet)) == {fleet.replicas[0].port}


HOSTILE: dict[str, Json] = {
    "messages is a number": {"messages": 5},
    "messages is an object": {"messages": {"role": "user"}},
    "messages are strings": {"messages": ["one", None, []]},
    "role is an object": talk(("user", "a")) | {"messages": [{"role": {"a": []}, "content": 1}]},
    "no content": {"messages": [{"role": "user"}]},
    "content is null": talk(("user", None)),
    "many parts": talk(("user", [{"text": ["a"]}] * 5000)),
    "prompt is null": {"prompt": None, "prompt_cache_key": None},
    "input is empty": {"input": []},
    "many messages": talk(*[("system", "a")] * 3000),
    "quotes": talk(("user", '\\"' * 20_000)),
    "deep": {"messages": json.loads("[" * 90 + "]" * 90)},
    "nothing": {},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_strange_prompt_goes_somewhere(fleet: Fleet, kind: str) -> None:
    """What has no beginning, or an odd one, is an engine's to judge, and trips nothing here."""
    assert fleet.ask(HOSTILE[kind]) in {replica.port for replica in fleet.replicas}


def test_no_key_is_logged(fleet: Fleet, tmp_path: Path) -> None:
    """The log tells of the request, and nothing of its prompt or session."""
    with gateway(tmp_path) as second, second.client(second.key("*")) as client:
        twin = Fleet(second, fleet.replicas, client)
        twin.serve(*fleet.replicas)
        twin.ask(talk(("user", "hush-prompt")))
        twin.ask(talk(("user", "any")), **{SESSION: "hush-session"})
    log = (tmp_path / "log").read_text()
    assert log.count('"path":"/v1/chat/completions"') == 2
    assert "hush" not in log


def test_other_models_are_spread(fleet: Fleet) -> None:
    """A model that does not ask for it has equal prompts answered wherever there is room."""
    ports = [r.port for r in fleet.replicas]
    fleet.front.serve(models=(*fleet.front.snapshot.models, model("plain", *ports)))
    until(lambda: fleet.client.get("/v1/models/plain").status_code == 200, 5)
    body = {"model": "plain", "prompt": "x"}
    answers = [fleet.client.post("/v1/completions", json=body).json() for _ in range(KEYS)]
    assert {answer["port"] for answer in answers} == set(ports)
