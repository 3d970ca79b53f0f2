"""The laws of Tenant and ModelRoute as a user meets them: on a real API server."""

from typing import Any

import pytest

from integration.api import Api, Manifest, Refusal
from integration.rules import cel_rules
from modelops.api.base import API_VERSION
from modelops.api.crd import crd
from modelops.api.policies import POLICIES

Spec = dict[str, Any]
A: Spec = {"model": "llama-a"}

ACCEPTED: list[tuple[str, Spec]] = [
    ("Tenant", {}),
    ("Tenant", {"limits": {}}),
    ("Tenant", {"limits": {"requestsPerMinute": 60, "tokensPerMinute": 100_000}}),
    ("Tenant", {"limits": {"concurrentRequests": 1}, "priority": "High"}),
    ("Tenant", {"models": []}),
    ("Tenant", {"models": ["*", "llama*", "Qwen/Qwen3-8B"], "namespaces": ["team"]}),
    ("Tenant", {"models": [f"m{n}-{'x' * 240}" for n in range(256)]}),
    ("Tenant", {"namespaces": [], "priority": "Low"}),
    ("ModelRoute", {"targets": [A]}),
    ("ModelRoute", {"targets": [{**A, "weight": 90}, {"model": "llama-b", "weight": 10}]}),
    ("ModelRoute", {"targets": [{**A, "weight": 0}, {"model": "llama-b"}]}),
    ("ModelRoute", {"modelName": "meta/llama-3.1:8b", "targets": [A], "fallback": ["b", "c"]}),
    ("ModelRoute", {"targets": [A, {"model": "b"}], "fallback": ["b", "llama-a"]}),
    ("ModelRoute", {"targets": [{"model": f"m{n}", "weight": 1000} for n in range(16)]}),
]

REFUSED: list[tuple[str, Spec, str]] = [
    ("Tenant", {"limits": {"requestsPerMinute": 0}}, "greater than or equal to 1"),
    ("Tenant", {"limits": {"tokensPerMinute": 2**31}}, "less than or equal to 2147483647"),
    ("Tenant", {"limits": {"concurrentRequests": "3"}}, "must be of type integer"),
    ("Tenant", {"limits": {"requests": 3}}, 'unknown field "spec.limits.requests"'),
    ("Tenant", {"models": ["*llama"]}, "models are names such as llama-8b, beginnings such as"),
    ("Tenant", {"models": ["a b"]}, "models are names such as llama-8b, beginnings such as"),
    ("Tenant", {"models": ["a*\n"]}, "models are names such as llama-8b, beginnings such as"),
    ("Tenant", {"models": [""]}, "spec.models[0]"),
    ("Tenant", {"models": ["a", "a"]}, 'Duplicate value: "a"'),
    ("Tenant", {"models": "llama"}, "must be of type array"),
    ("Tenant", {"namespaces": ["a"] * 2}, 'Duplicate value: "a"'),
    ("Tenant", {"priority": "Urgent"}, 'supported values: "High", "Standard", "Low"'),
    ("ModelRoute", {}, "spec.targets: Required value"),
    ("ModelRoute", {"targets": []}, "should have at least 1 items"),
    ("ModelRoute", {"targets": [{"weight": 1}]}, "spec.targets[0].model: Required value"),
    ("ModelRoute", {"targets": [A, A]}, 'Duplicate value: {"model":"llama-a"}'),
    ("ModelRoute", {"targets": [{**A, "weight": 0}]}, "no target has a share"),
    ("ModelRoute", {"targets": [{**A, "weight": -1}]}, "greater than or equal to 0"),
    ("ModelRoute", {"targets": [{**A, "weight": 1001}]}, "less than or equal to 1000"),
    ("ModelRoute", {"targets": [{**A, "weight": 0.5}]}, "must be of type integer"),
    ("ModelRoute", {"targets": [{"model": f"m{n}"} for n in range(17)]}, "at most 16 items"),
    ("ModelRoute", {"targets": [A], "fallback": ["b", "b"]}, 'Duplicate value: "b"'),
    ("ModelRoute", {"targets": [A], "fallback": [f"m{n}" for n in range(9)]}, "at most 8 items"),
    ("ModelRoute", {"targets": [A], "modelName": "%REQ(x)%"}, "modelName is what clients send"),
    ("ModelRoute", {"targets": [A], "modelName": "a\nb"}, "modelName is what clients send"),
    ("ModelRoute", {"targets": [A], "name": "b"}, 'unknown field "spec.name"'),
]


def policy(kind: str, namespace: str, spec: Spec, name: str = "one") -> Manifest:
    """Return an object of that kind."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": spec}


@pytest.mark.parametrize(("kind", "spec"), ACCEPTED, ids=str)
def test_a_good_spec_is_accepted(api: Api, namespace: str, kind: str, spec: Spec) -> None:
    """The API server takes each way to write a policy, however long its lists are."""
    api.create(policy(kind, namespace, spec), params={"dryRun": "All"})


@pytest.mark.parametrize(("kind", "spec", "says"), REFUSED, ids=str)
def test_a_bad_spec_is_refused(api: Api, namespace: str, kind: str, spec: Spec, says: str) -> None:
    """The API server refuses each mistake with words that tell what to write."""
    with pytest.raises(Refusal) as raised:
        api.create(policy(kind, namespace, spec), params={"dryRun": "All"})
    assert says in str(raised.value)


@pytest.mark.parametrize("name", ["acme.eu", "a" * 64])
def test_a_tenant_is_named_as_keys_name_it(api: Api, namespace: str, name: str) -> None:
    """A Tenant that no key could name is refused."""
    with pytest.raises(Refusal, match="the name is what `modelops key create --tenant` takes"):
        api.create(policy("Tenant", namespace, {}, name), params={"dryRun": "All"})


def test_every_rule_has_its_row() -> None:
    """No CEL rule of a policy is without a row that breaks it."""
    told = [says for _, _, says in REFUSED] + ["the name is what `modelops key create --tenant`"]
    messages = {rule["message"] for kind in POLICIES.values() for rule in cel_rules(crd(kind))}
    assert messages
    assert not {m for m in messages if not any(says in m for says in told)}


def test_get_shows_the_columns(api: Api, namespace: str) -> None:
    """`kubectl get` tells what a policy says and whether it holds."""
    seen = {}
    for kind in POLICIES:
        accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        table = api.raw("GET", api.path(kind, namespace), headers=accept)
        seen[kind] = [c["name"] for c in table["columnDefinitions"] if c["priority"] == 0]
    limits = ["Requests/min", "Tokens/min"]
    assert seen == {
        "ModelRoute": ["Name", "Model", "Ready", "Reason", "Age"],
        "Tenant": ["Name", "Priority", *limits, "Ready", "Reason", "Age"],
    }
