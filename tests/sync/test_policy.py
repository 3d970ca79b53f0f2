"""What a route and a tenant are told, whatever they ask for and stand among."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.api import conditions as c
from modelops.api.base import API_VERSION
from modelops.api.policies import POLICIES
from modelops.api.policies.modelroute import KIND as MODEL_ROUTE
from modelops.sync.policy import JUDGES, policy_status
from modelops.sync.scene import Scene, of_model, of_route

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SYSTEM = "modelops-system"
Manifest = dict[str, Any]


def an_object(
    kind: str, name: str, spec: Manifest, *, namespace: str = "team", day: int = 2
) -> Manifest:
    """Return an object that was made on that day of January."""
    meta = {
        "name": name,
        "namespace": namespace,
        "creationTimestamp": f"2026-01-{day:02}T00:00:00Z",
        "generation": 3,
    }
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": spec}


def a_model(name: str, ready: int = 1, *, served: str | None = None, **born: Any) -> Manifest:
    """Return a TextModel with so many ready replicas."""
    model = {"uri": "hf://o/n"} | ({"name": served} if served else {})
    made = an_object("TextModel", name, {"model": model}, **born)
    return made | {"status": {"readyReplicas": ready}}


def a_route(*targets: str | tuple[str, int], name: str = "chat", **spec: Any) -> Manifest:
    """Return a ModelRoute to these models."""
    pairs = [t if isinstance(t, tuple) else (t, 1) for t in targets]
    shares = [{"model": model, "weight": weight} for model, weight in pairs]
    return an_object("ModelRoute", name, {"targets": shares, **spec})


def status(policy: Manifest, *others: Manifest) -> Manifest:
    """Return the status of a policy among others."""
    everything = (policy, *others)
    models = [of_model(o) for o in everything if o["kind"] not in POLICIES]
    routes = [of_route(o) for o in everything if o["kind"] == MODEL_ROUTE.name]
    return policy_status(policy, Scene.of(models, routes, SYSTEM), NOW)


def truth(told: Manifest, kind: str) -> tuple[str, str, str]:
    """Return status, reason and sentence of a condition."""
    found = c.find({"status": told}, kind)
    assert found
    return found["status"], found["reason"], found["message"]


A, B, C = a_model("a"), a_model("b"), a_model("c")
SILENT = a_model("silent", 0)
ROUTES: dict[str, tuple[Manifest, tuple[Manifest, ...], str, str, str]] = {
    "alias": (a_route("a"), (A,), "True", "Serving", "serving a"),
    "group": (
        a_route(("a", 90), ("b", 10), fallback=["c"]), (A, B, C), "True", "Serving",
        "serving 90% a, 10% b; falls back to c",
    ),
    "chain": (
        a_route(("a", 1), ("b", 0), fallback=["b", "c"]), (A, B, C), "True", "Serving",
        "serving a; falls back to b, then c",
    ),
    "third": (a_route("a", "b", "c"), (A, B, C), "True", "Serving", "33.3% a, 33.3% b, 33.3% c"),
    "falls back": (
        a_route("silent", fallback=["silent", "b"]), (SILENT, B), "True", "FallingBack",
        "no replica of silent answers; b answers instead",
    ),
    "silent": (
        a_route("silent", "a"), (SILENT, A), "False", "NoReplicas",
        "no replica of silent answers, wait for it or scale it up; spec.fallback can name",
    ),
    "silent chain": (
        a_route("silent", fallback=["silent"]), (SILENT,), "False", "NoReplicas",
        "no replica of silent answers, wait for it or scale it up",
    ),
    "unknown": (
        a_route("gone"), (A,), "False", "UnknownTarget",
        "there is no model gone in namespace team: create it, or correct spec.targets",
    ),
    "elsewhere": (
        a_route("a"), (a_model("a", namespace="other"),), "False", "UnknownTarget",
        "there is no model a in namespace team",
    ),
    "unknown fallback": (
        a_route("a", fallback=["gone"]), (A,), "False", "UnknownTarget",
        "there is no model gone in namespace team; the others answer: create it",
    ),
    "a route": (
        a_route("best", name="chat"), (a_route("a", name="best"), A), "False", "UnknownTarget",
        "best is a ModelRoute and no model: name the models themselves",
    ),
    "itself": (
        a_route("chat", name="chat"), (), "False", "UnknownTarget", "chat is a ModelRoute",
    ),
    "taken": (
        a_route("a", modelName="best"), (A, a_model("x", served="best", day=1)), "False",
        "NameTaken", "the name `best` belongs to TextModel x, which is older: choose another",
    ),
    "taken elsewhere": (
        a_route("a"), (A, a_model("chat", namespace="secret", day=1)), "False", "NameTaken",
        "the name `chat` belongs to an object of another namespace, which is older",
    ),
    "younger rival": (
        a_route("a"), (A, a_model("chat", day=3)), "True", "Serving", "serving a",
    ),
    "invalid": (
        an_object("ModelRoute", "chat", {"targets": []}), (), "False", "InvalidSpec",
        "spec.targets: List should have at least 1 item",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ROUTES)
def test_a_route_is_told_what_became_of_it(case: str) -> None:
    """Ready has the truth, the reason and the sentence that say what to do next."""
    route, others, ready, reason, says = ROUTES[case]
    told = status(route, *others)
    assert truth(told, c.READY)[:2] == (ready, reason)
    assert says in truth(told, c.READY)[2]
    refused = reason in {"UnknownTarget", "NameTaken", "InvalidSpec"}
    assert truth(told, c.ACCEPTED)[0] == ("False" if refused else "True")
    assert truth(told, c.STALLED)[0] == ("True" if refused else "False")


def test_a_route_shows_its_name() -> None:
    """The status has the name that clients send, for `kubectl get`."""
    assert status(a_route("a"), A)["model"] == "chat"
    assert status(a_route("a", modelName="o/n"), A)["model"] == "o/n"


def a_tenant(namespace: str = SYSTEM, **spec: Any) -> Manifest:
    """Return the Tenant acme."""
    return an_object("Tenant", "acme", spec, namespace=namespace)


TENANTS: dict[str, tuple[Manifest, str, str, str]] = {
    "plain": (a_tenant(), "True", "InForce", "its keys may use what they name"),
    "limits": (
        a_tenant(limits={"requestsPerMinute": 60, "concurrentRequests": 2}), "True", "InForce",
        "may use what they name; at most 60 requests a minute, 2 requests at a time",
    ),
    "models": (
        a_tenant(models=["a*"], namespaces=["team", "x"]), "True", "InForce",
        "its keys may use models called a* in namespaces team, x",
    ),
    "route": (a_tenant(models=["best"]), "True", "InForce", "may use models called best"),
    "nothing": (
        a_tenant(models=["q*"]), "True", "InForce",
        "may use models called q*; there is no such model now",
    ),
    "shut": (a_tenant(models=[]), "True", "InForce", "its keys may use no model"),
    "many": (
        a_tenant(models=[f"a{n}" for n in range(8)]), "True", "InForce",
        "called a0, a1, a2, a3, a4 and 3 more; there is no such model now",
    ),
    "misplaced": (
        a_tenant("team"), "False", "WrongNamespace",
        "a Tenant counts in namespace modelops-system only: create it there and delete this one",
    ),
    "invalid": (a_tenant(priority="Urgent"), "False", "InvalidSpec", "spec.priority"),
}  # fmt: skip


@pytest.mark.parametrize("case", TENANTS)
def test_a_tenant_is_told_what_its_keys_may_do(case: str) -> None:
    """Ready has the truth, the reason and the sentence."""
    tenant, ready, reason, says = TENANTS[case]
    told = status(tenant, A, a_route("a", name="best"))
    assert truth(told, c.READY)[:2] == (ready, reason)
    assert says in truth(told, c.READY)[2]
    if "no such model" not in says:
        assert "no such model" not in truth(told, c.READY)[2]


names = st.sampled_from(("a", "b", "silent", "chat", "gone"))
ANY_ROUTE = st.builds(
    lambda targets, fallback: a_route(*targets, fallback=fallback),
    st.lists(st.tuples(names, st.integers(0, 9)), max_size=4),
    st.lists(names, max_size=3),
)


@given(ANY_ROUTE, st.sets(st.sampled_from((0, 1, 2, 3))))
def test_every_route_gets_a_whole_status_that_stays(route: Manifest, chosen: set[int]) -> None:
    """Whatever a route asks for it gets four conditions in one line; the next pass adds nothing."""
    others = [[A, B, SILENT, a_model("chat", day=1)][i] for i in chosen]
    told = status(route, *others)
    kinds = [one["type"] for one in told["conditions"]]
    assert kinds == [c.READY, c.ACCEPTED, c.RECONCILING, c.STALLED]
    truths = {one["type"]: one["status"] for one in told["conditions"]}
    assert [truths[k] for k in (c.READY, c.RECONCILING, c.STALLED)].count("True") == 1
    assert all("\n" not in one["message"] for one in told["conditions"])
    assert all(one["observedGeneration"] == 3 for one in told["conditions"])
    assert status(route | {"status": told}, *others) == told


def test_every_policy_has_its_judge() -> None:
    """A new kind of policy without a verdict fails here."""
    assert JUDGES.keys() == POLICIES.keys()
