"""The laws of the API as a user meets it: on a real API server."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from integration.api import Api, Refusal
from integration.conftest import established, text_model
from integration.rules import cel_rules
from modelops.api.base import API_VERSION
from modelops.api.crd import crd
from modelops.api.group import EVERY_KIND
from modelops.api.kinds.textmodel import KIND

HF: dict[str, Any] = {"uri": "hf://owner/name"}
SCALING: dict[str, Any] = {
    "minReplicas": 1,
    "state": "Active",
    "idleAfterSeconds": 300,
    "priority": 0,
    "preemption": "Never",
}
"""What the API server makes of a scaling that says nothing."""

OFFICE = {
    "name": "office",
    "start": "0 8 * * mon-fri",
    "end": "0 18 * * 1-5",
    "timeZone": "Europe/Vienna",
    "minReplicas": 2,
}
BY_PROMETHEUS = {
    "prometheus": {"serverAddress": "http://prometheus:9090", "query": "up", "threshold": 2}
}
STREAM = {"address": "redis:6379", "stream": "jobs", "consumerGroup": "workers", "lag": 5}
BY_STREAM = {"redisStreams": STREAM}

ACCEPTED: list[dict[str, Any]] = [
    {"model": {"uri": "hf://Qwen/Qwen3-8B"}},
    {"model": {"uri": "hf://Qwen/Qwen3-8B@main"}},
    {"model": {"uri": "s3://bucket/a/prefix", "endpoint": "http://minio:9000"}},
    {"model": {"uri": "pvc://claim/path/to/model"}},
    {"model": {**HF, "revision": "v1", "name": "chat-1", "secretRef": {"name": "hub"}}},
    {"model": {**HF, "endpoint": "https://hub.example", "formats": "AllowPickle"}},
    {"model": HF, "runtime": {"name": "vllm", "args": ["--seed=1"], "image": "a/b:1"}},
    {"model": HF, "runtime": {"env": [{"name": "A", "value": "b"}]}},
    {"model": HF, "resources": {"cpu": 4, "memory": "16Gi", "accelerator": {"count": 0}}},
    {"model": HF, "resources": {"cpu": "500m", "accelerator": {"product": "NVIDIA-H100"}}},
    {"model": HF, "cache": {"size": "20Gi", "storageClassName": "fast"}},
    {"model": HF, "cache": {"claimName": "shared"}},
    {"model": HF, "cache": {"medium": "EmptyDir", "size": "5Gi"}},
    {"model": HF, "scaling": {"minReplicas": 0}},
    {"model": HF, "scaling": {"minReplicas": 0, "maxReplicas": 4, "replicas": 9}},
    {"model": HF, "scaling": {"maxReplicas": 0}},
    {"model": HF, "scaling": {"maxReplicas": 4, "targets": {"queueDepth": 8, "concurrency": 2}}},
    {"model": HF, "scaling": {"maxReplicas": 2, "schedules": [OFFICE]}},
    {"model": HF, "scaling": {"schedules": [OFFICE], "state": "Paused"}},
    {"model": HF, "scaling": {"triggers": [BY_PROMETHEUS, BY_STREAM]}},
    {"model": HF, "scaling": {"behavior": {"scaleUp": {"maxReplicasPerMinute": 4}}}},
    {"model": HF, "scaling": {"priority": -5, "preemption": "IdleLowerPriority"}},
    {"model": HF, "rollout": {"maxSurge": 2, "drainSeconds": 5}},
    {"model": HF, "rollout": {"strategy": "Recreate", "drainSeconds": 5}},
    {"model": HF, "routing": {"policy": "PrefixAware", "sessionHeader": "X-Chat"}},
    {"model": HF, "text": {"contextLength": 4096}},
    {"model": HF, "podTemplate": {"spec": {"nodeSelector": {"a": "b"}}}},
]

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "spec.model: Required value"),
    ({"model": {}}, "spec.model.uri: Required value"),
    ({"model": {"uri": ""}}, "spec.model.uri"),
    ({"model": {"uri": "Qwen/Qwen3-8B"}}, "hf://OWNER/NAME"),
    ({"model": {"uri": "http://example.org/x"}}, "hf://OWNER/NAME"),
    ({"model": {"uri": "pvc://claim/../etc"}}, "hf://OWNER/NAME"),
    ({"model": {"uri": "s3://bucket/p", "revision": "main"}}, "revision is for hf:// sources only"),
    (
        {"model": {"uri": "hf://owner/name@main", "revision": "main"}},
        "the revision is given twice",
    ),
    (
        {"model": {"uri": "pvc://claim/path", "endpoint": "http://minio"}},
        "pvc:// weights are mounted, not fetched",
    ),
    (
        {"model": {"uri": "pvc://claim/path", "secretRef": {"name": "hub"}}},
        "pvc:// weights are mounted, not fetched",
    ),
    ({"model": {**HF, "endpoint": "minio:9000"}}, "endpoint is a URL"),
    ({"model": {**HF, "formats": "Pickle"}}, 'Unsupported value: "Pickle"'),
    ({"model": {**HF, "remoteCode": "Yes"}}, 'Unsupported value: "Yes"'),
    ({"model": {**HF, "secretRef": {}}}, "spec.model.secretRef.name: Required value"),
    ({"model": {**HF, "name": ""}}, "spec.model.name"),
    ({"model": {**HF, "naem": "x"}}, 'unknown field "spec.model.naem"'),
    ({"model": HF, "replicas": 3}, 'unknown field "spec.replicas"'),
    ({"model": HF, "scaling": {"minReplicas": -1}}, "greater than or equal to 0"),
    ({"model": HF, "scaling": {"minReplicas": 1001}}, "less than or equal to 1000"),
    ({"model": HF, "scaling": {"minReplicas": "1"}}, "must be of type integer"),
    ({"model": HF, "scaling": {"minReplicas": 3, "maxReplicas": 2}}, "more than maxReplicas"),
    ({"model": HF, "scaling": {"replicas": -1}}, "greater than or equal to 0"),
    ({"model": HF, "scaling": {"targets": {"queueDepth": 0}}}, "greater than or equal to 1"),
    ({"model": HF, "scaling": {"targets": {"kvCachePercent": 101}}}, "less than or equal to 100"),
    ({"model": HF, "scaling": {"targets": {"concurrency": 1.5}}}, "must be of type integer"),
    ({"model": HF, "scaling": {"targets": {"queueSeconds": 60}}}, "has requests and no jobs"),
    ({"model": HF, "scaling": {"idleAfterSeconds": 0}}, "greater than or equal to 1"),
    ({"model": HF, "scaling": {"state": "Off"}}, 'Unsupported value: "Off"'),
    (
        {"model": HF, "scaling": {"maxReplicas": 1, "schedules": [OFFICE]}},
        "a schedule keeps more than maxReplicas",
    ),
    (
        {"model": HF, "scaling": {"schedules": [{**OFFICE, "start": "8 o'clock"}]}},
        "spec.scaling.schedules[0].start",
    ),
    ({"model": HF, "scaling": {"schedules": [OFFICE, OFFICE]}}, "Duplicate value"),
    (
        {"model": HF, "scaling": {"triggers": [{**BY_PROMETHEUS, **BY_STREAM}]}},
        "a trigger is of one type",
    ),
    ({"model": HF, "scaling": {"triggers": [{}]}}, "a trigger is of one type"),
    (
        {"model": HF, "scaling": {"triggers": [{"redisStreams": {**STREAM, "address": "redis"}}]}},
        "spec.scaling.triggers[0].redisStreams.address",
    ),
    (
        {"model": HF, "scaling": {"triggers": [{"redisStreams": {**STREAM, "pending": 3}}]}},
        "give either lag or pending",
    ),
    ({"model": HF, "resources": {"memory": "16 gigs"}}, "spec.resources.memory"),
    ({"model": HF, "resources": {"accelerator": {"count": 65}}}, "less than or equal to 64"),
    (
        {"model": HF, "cache": {"claimName": "c", "size": "5Gi"}},
        "claimName names a claim that exists",
    ),
    (
        {"model": HF, "cache": {"medium": "EmptyDir", "claimName": "c"}},
        "an EmptyDir cache has no claim",
    ),
    ({"model": HF, "cache": {"medium": "Memory"}}, 'Unsupported value: "Memory"'),
    ({"model": HF, "cache": {"accessMode": "RWX"}}, 'Unsupported value: "RWX"'),
    (
        {"model": {"uri": "pvc://claim/path"}, "cache": {"size": "5Gi"}},
        "pvc:// weights are served in place: remove spec.cache",
    ),
    (
        {"model": {**HF, "name": "$(HOSTNAME)\n"}},
        "name is what clients send as the model: letters, digits and any of . _ : / @ + -",
    ),
    (
        {"model": HF, "rollout": {"strategy": "Recreate", "maxSurge": 1}},
        "with Recreate nothing starts beside the old version: remove spec.rollout.maxSurge",
    ),
    ({"model": HF, "rollout": {"strategy": "Sudden"}}, 'supported values: "RollingUpdate"'),
    ({"model": HF, "rollout": {"maxSurge": 0}}, "greater than or equal to 1"),
    ({"model": HF, "rollout": {"drainSeconds": 0}}, "greater than or equal to 1"),
    ({"model": HF, "rollout": {"progressDeadlineSeconds": 1}}, "greater than or equal to 30"),
    (
        {"model": HF, "routing": {"sessionHeader": "x-chat"}},
        "only PrefixAware knows sessions: remove spec.routing.sessionHeader",
    ),
    ({"model": HF, "routing": {"policy": "Random"}}, 'supported values: "LeastRequests"'),
    (
        {"model": HF, "routing": {"policy": "PrefixAware", "sessionHeader": "a: b"}},
        "spec.routing.sessionHeader",
    ),
    ({"model": HF, "text": {"contextLength": 0}}, "greater than or equal to 1"),
    ({"model": HF, "runtime": {"args": "--seed=1"}}, "must be of type array"),
    ({"model": HF, "runtime": {"env": [{"value": "b"}]}}, "name: Required value"),
    (
        {"model": HF, "runtime": {"env": [{"name": "A"}, {"name": "A"}]}},
        'Duplicate value: {"name":"A"}',
    ),
]


@pytest.mark.parametrize("spec", ACCEPTED, ids=str)
def test_a_good_spec_is_accepted(api: Api, namespace: str, spec: dict[str, Any]) -> None:
    """The API server takes each way to write a TextModel that the reference names."""
    api.create(text_model(namespace) | {"spec": spec}, params={"dryRun": "All"})


@pytest.mark.parametrize(("spec", "says"), REFUSED, ids=str)
def test_a_bad_spec_is_refused(api: Api, namespace: str, spec: dict[str, Any], says: str) -> None:
    """The API server refuses each mistake with words that tell what to write."""
    with pytest.raises(Refusal) as raised:
        api.create(text_model(namespace) | {"spec": spec}, params={"dryRun": "All"})
    assert says in str(raised.value)


@pytest.mark.parametrize("target", ["kvCachePercent", "timeToFirstTokenMilliseconds"])
def test_targets_of_tokens_are_none_of_pictures(api: Api, namespace: str, target: str) -> None:
    """A model that does jobs scales by its queue; what it has none of is refused."""
    model = text_model(namespace, "paint") | {"kind": "DiffusionModel"}
    good = {"queueSeconds": 60, "queueDepth": 3, "concurrency": 4}
    for targets, refused in ((good, False), ({target: 50}, True)):
        spec = {"model": HF, "scaling": {"targets": targets}}
        with pytest.raises(Refusal, match="jobs and no tokens") if refused else nullcontext():
            api.create(model | {"spec": spec}, params={"dryRun": "All"})


@pytest.mark.parametrize("name", ["1chat", "chat.v2", "a" * 51])
def test_a_name_that_makes_no_service_is_refused(api: Api, namespace: str, name: str) -> None:
    """A name from which no Service's name can be made is refused at once."""
    with pytest.raises(Refusal, match="the name becomes a Service's name"):
        api.create(text_model(namespace, name), params={"dryRun": "All"})


def test_every_rule_has_its_row() -> None:
    """No CEL rule of the CRD is without a spec in the table that breaks it."""
    told = [says for _, says in REFUSED] + ["the name becomes a Service's name"]
    messages = {rule["message"] for rule in cel_rules(crd(KIND))}
    assert messages
    assert not {m for m in messages if not any(says in m for says in told)}


def test_the_crds_are_served_without_complaint(api: Api) -> None:
    """Every CRD is established, structural, and named as it asks to be."""
    for kind in EVERY_KIND.values():
        name = crd(kind)["metadata"]["name"]
        assert established(api, name)
        status = api.get("CustomResourceDefinition", None, name)["status"]
        assert "NonStructuralSchema" not in {c["type"] for c in status["conditions"]}
        assert status["acceptedNames"]["shortNames"] == [kind.short_name]
        assert status["acceptedNames"]["categories"] == ["modelops"]


def test_the_smallest_object_gets_its_defaults(api: Api, namespace: str) -> None:
    """From one field the API server makes a whole spec, and the status is not current."""
    made = api.create(text_model(namespace))
    assert made["spec"]["scaling"] == SCALING
    assert made["spec"]["model"]["formats"] == "SafetensorsOnly"
    assert made["spec"]["rollout"]["strategy"] == "RollingUpdate"
    assert made["status"] == {"observedGeneration": -1}


def test_every_field_explains_itself(api: Api) -> None:
    """What `kubectl explain` reads has a description for every field of spec and status."""
    schemas = api.raw("GET", f"/openapi/v3/apis/{API_VERSION}")["components"]["schemas"]
    for kind in EVERY_KIND.values():
        (schema,) = (s for name, s in schemas.items() if name.endswith(f".{kind.name}"))
        silent = [
            path
            for part in ("spec", "status")
            for path, node in _fields(part, schema["properties"][part])
            if not node.get("description")
        ]
        assert not silent


def _fields(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _fields(f"{path}.{name}", child)
    for name, child in node.get("items", {}).get("properties", {}).items():
        yield from _fields(f"{path}[].{name}", child)


def test_get_shows_the_columns(api: Api, namespace: str) -> None:
    """`kubectl get` has the columns that tell at a glance."""
    api.create(text_model(namespace))
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = api.raw("GET", api.path("TextModel", namespace), headers=accept)
    names = [c["name"] for c in table["columnDefinitions"] if c["priority"] == 0]
    assert names == ["Name", "Model", "Runtime", "Ready", "Reason", "URL", "Age"]
    assert table["rows"][0]["cells"][1] == "pvc://weights/tiny"


def test_the_scale_subresource_is_the_number_of_replicas(api: Api, namespace: str) -> None:
    """What `kubectl scale` and autoscalers write is what is asked for; no bound moves."""
    api.create(text_model(namespace))
    api.merge("TextModel", namespace, "chat", {"spec": {"replicas": 3}}, "scale")
    assert api.get("TextModel", namespace, "chat")["spec"]["scaling"] == {
        **SCALING,
        "replicas": 3,
    }
    scale = api.raw("GET", api.path("TextModel", namespace, "chat") + "/scale")
    assert scale["spec"]["replicas"] == 3
