"""The laws of groups and chains, whatever they are made of."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.cluster import policy, text_model
from gateway.conftest import model
from modelops.gateway import observed
from modelops.gateway.groups import attempts, chains, destination, shares
from modelops.gateway.observed import Found
from modelops.gateway.snapshot import Route, Target, Tenant

MODELS = st.builds(model, st.sampled_from("abcd"), st.integers(1, 3))
ROUTES = st.builds(
    Route,
    st.just("chat"),
    st.just("team"),
    st.just("chat"),
    targets=st.lists(
        st.builds(Target, MODELS, st.integers(0, 5)), max_size=4, unique_by=lambda t: t.model.name
    ).map(tuple),
    fallback=st.lists(MODELS, max_size=3, unique_by=lambda m: m.name).map(tuple),
)


@given(ROUTES)
def test_every_chain_begins_with_its_target_and_goes_on_as_written(route: Route) -> None:
    """The attempts of each chain are its target's, then those of the fallback in its order."""
    fallback = [one.cluster for one in route.fallback]
    for target, (_, members) in zip(shares(route), chains(route), strict=bool(route.fallback)):
        order = list(dict.fromkeys(members))
        first = target.model.cluster
        assert order == [first, *(name for name in fallback if name != first)]
        assert len(members) == attempts(route)


@given(ROUTES)
def test_a_route_leads_only_where_something_is(route: Route) -> None:
    """What Envoy is told to send to is a chain that is made, or a model; shares are kept."""
    leads = destination(route)
    made = {name for name, _ in chains(route)} | {m.cluster for m in route.models}
    if leads is None:
        assert not route.fallback
        assert not any(target.weight for target in route.targets)
    elif "cluster" in leads:
        assert leads["cluster"] in made
    else:
        parts = leads["weighted_clusters"]["clusters"]
        assert {part["name"] for part in parts} <= made
        assert [p["weight"] for p in parts] == [t.weight for t in route.targets if t.weight]


def seen(*routes: dict[str, Any]) -> tuple[Route, ...]:
    """Return the routes of a cluster that has the models a and b."""
    models = tuple(observed.model(text_model(name)) for name in ("a", "b"))
    wishes = tuple(map(observed.wish, routes))
    return observed.snapshot(Found(models=models, wishes=wishes), datetime.now(UTC)).routes


def test_a_route_gets_the_models_that_exist() -> None:
    """Targets and fallback are the objects of its namespace; what does not exist is left out."""
    spec = {
        "modelName": "chat",
        "targets": [{"model": "a", "weight": 9}, {"model": "gone"}],
        "fallback": ["gone", "b"],
    }
    (route,) = seen(policy("ModelRoute", "one", "team", spec))
    assert (route.served_name, route.address) == ("chat", ("team", "one"))
    assert [(t.model.name, t.weight) for t in route.targets] == [("a", 9)]
    assert [one.name for one in route.fallback] == ["b"]


def test_a_route_in_another_namespace_gets_none_of_them() -> None:
    """Nobody sends others' callers to models of a namespace that is not theirs."""
    (route,) = seen(policy("ModelRoute", "one", "other", {"targets": [{"model": "a"}]}))
    assert route.models == ()


def test_names_go_to_the_oldest_of_models_and_routes() -> None:
    """A route does not take a model's name that is older, nor a model that of an older route."""
    spec = {"modelName": "a", "targets": [{"model": "b"}]}
    assert seen(policy("ModelRoute", "one", "team", spec)) == ()
    models = (observed.model(text_model("a", "team", 10)),)
    wishes = (observed.wish(policy("ModelRoute", "one", "team", spec)),)
    now = observed.snapshot(Found(models=models, wishes=wishes), datetime.now(UTC))
    assert (now.models, [r.name for r in now.routes]) == ((), ["one"])


def test_a_tenant_is_what_its_object_says() -> None:
    """What the object leaves out is no restriction, and an empty list is the strictest one."""
    assert observed.tenant(policy("Tenant", "one", "team", {})) == Tenant("one")
    spec = {
        "limits": {"requestsPerMinute": 1, "tokensPerMinute": 2, "concurrentRequests": 3},
        "models": [],
        "namespaces": ["team"],
        "priority": "Low",
    }
    full = Tenant("one", (), ("team",), "Low", 1, 2, 3)
    assert observed.tenant(policy("Tenant", "one", "team", spec)) == full
    assert not full.may_use(model("a"))
    assert replace(full, models=("a*",)).may_use(model("ab"))
    assert not replace(full, models=("a*",)).may_use(model("ab", namespace="other"))
