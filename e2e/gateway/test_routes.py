"""Story: names that lead to several models, and tenants that may use some of them."""

from collections import Counter
from typing import Any, Final

import openai
import pytest
import yaml

from e2e.gateway.caller import client, listed
from e2e.keys import new_key
from e2e.platform import ROOT, SYSTEM_NAMESPACE
from e2e.space import Space

EXAMPLES: Final = ROOT / "manifests" / "examples"
ALIAS: Final = "gpt-4o-mini"


def example(name: str) -> list[dict[str, Any]]:
    """Return the documents of an example."""
    return list(yaml.safe_load_all((EXAMPLES / name).read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def served(space: Space) -> Space:
    """The models of the example, of the tiny weights, and the routes as they are written."""
    *models, chat = example("route-group.yaml")
    for model in models:
        space.model(model["metadata"]["name"])
    (alias,) = example("route-alias.yaml")
    alias["spec"]["targets"] = [{"model": "small"}]
    space.kube.apply([chat, alias], namespace=space.name)
    for model in models:
        space.until_ready(model["metadata"]["name"])
    return space


@pytest.fixture(scope="module")
def caller(served: Space, url: str) -> openai.OpenAI:
    """A client whose key names the routes, and none of the models behind them."""
    key = new_key(served.kube, "routed", "chat", ALIAS)
    known = client(url, key)
    shows(served, known, {"chat", ALIAS})
    return known


def answered(known: openai.OpenAI, name: str) -> str:
    """Return which model answers a chat; empty when none does."""
    try:
        answer = known.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "Hello!"}], max_tokens=1
        )
    except openai.InternalServerError:
        return ""
    return answer.model


def sentence(served: Space, name: str) -> str:
    """Return what a route is told."""
    found = served.kube.get("modelroute", name, served.name)
    assert found is not None
    conditions = {c["type"]: c for c in found["status"].get("conditions", [])}
    return str(conditions.get("Ready", {}).get("message"))


def test_an_alias_is_answered_by_its_model(served: Space, caller: openai.OpenAI) -> None:
    """The engine takes the alias, and its answer says which model it was."""
    assert answered(caller, ALIAS) == "small"
    assert sentence(served, "default-chat") == "serving small"


def test_a_key_of_the_route_opens_no_model_behind_it(caller: openai.OpenAI) -> None:
    """Whoever may use the route does not know the models by name."""
    with pytest.raises(openai.NotFoundError):
        caller.chat.completions.create(model="stable", messages=[{"role": "user", "content": "a"}])


def test_a_group_shares_the_requests(served: Space, caller: openai.OpenAI) -> None:
    """Of a hundred chats the model with nine of ten shares answers most, the other one some."""
    seen = Counter(answered(caller, "chat") for _ in range(100))
    assert seen.keys() == {"stable", "canary"}
    assert 70 <= seen["stable"] < 100
    told = "serving 90% stable, 10% canary; falls back to small"
    served.until(lambda: sentence(served, "chat") == told, 30, lambda: sentence(served, "chat"))


def test_a_chain_goes_on_when_a_model_rests(served: Space, caller: openai.OpenAI) -> None:
    """With both targets turned off the small model answers, and one that is back again."""
    for name in ("stable", "canary"):
        served.scale(name, maxReplicas=0)
    told = "no replica of stable, canary answers; small answers instead"
    served.until(lambda: sentence(served, "chat") == told, 120, lambda: sentence(served, "chat"))
    assert {answered(caller, "chat") for _ in range(10)} == {"small"}
    served.scale("stable", maxReplicas=1)
    served.until_reason("stable", "Serving", 300)
    served.until(
        lambda: answered(caller, "chat") == "stable", 30, lambda: "stable does not answer again"
    )


def test_a_tenant_is_shut_off_and_let_in_again(served: Space, caller: openai.OpenAI) -> None:
    """An object of the tenant's name decides at once what its keys may use."""
    tenant = {
        "apiVersion": "modelops.dev/v1alpha1",
        "kind": "Tenant",
        "metadata": {"name": "routed"},
    }
    try:
        for models, left in WIDER:
            served.kube.apply({**tenant, "spec": {"models": models}}, namespace=SYSTEM_NAMESPACE)
            shows(served, caller, left)
    finally:
        served.kube.run("delete", "tenant", "routed", "-n", SYSTEM_NAMESPACE)


WIDER: Final[tuple[tuple[list[str], set[str]], ...]] = (
    ([], set()),
    (["gpt*"], {ALIAS}),
    (["*"], {ALIAS, "chat"}),
)
"""Models of a tenant, and what then is left of those that its key names."""


def shows(served: Space, caller: openai.OpenAI, names: set[str]) -> None:
    """Wait until exactly these names are listed."""
    served.until(lambda: set(listed(caller)) == names, 30, lambda: f"lists {listed(caller)}")
