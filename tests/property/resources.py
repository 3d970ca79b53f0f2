"""Whole resources, as users write them: sensible, odd and wrong."""

from typing import Any

from hypothesis import strategies as st

from modelops.api.base import QUANTITY_PATTERN
from modelops.api.naming import NAME_LENGTH, NAME_PATTERN
from sync.world import UID

Json = Any

names = st.from_regex(NAME_PATTERN, fullmatch=True).map(lambda n: n[:NAME_LENGTH].rstrip("-"))
words = st.text("abcxyz019-_./=: $(){}", min_size=1, max_size=12)
quantities = st.from_regex(QUANTITY_PATTERN, fullmatch=True).filter(lambda q: len(q) < 9)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
uris = st.sampled_from(
    [
        "hf://Qwen/Qwen3-0.6B",
        "hf://Qwen/Qwen3-0.6B@main",
        "s3://models/a/b",
        "pvc://models/tiny-llama",
        "pvc://tiny-weights/x",
    ]
)


def objects(
    required: dict[str, st.SearchStrategy] | None = None, **fields: st.SearchStrategy
) -> st.SearchStrategy[dict[str, Json]]:
    """Return a strategy for objects of which any field may be missing."""
    return st.fixed_dictionaries(required or {}, optional=fields)


model = objects(
    {"uri": uris},
    revision=words,
    name=words,
    endpoint=st.just("https://hub.example.com"),
    secretRef=st.fixed_dictionaries({"name": st.just("keys")}),
    formats=st.sampled_from(["SafetensorsOnly", "AllowPickle"]),
    remoteCode=st.sampled_from(["Deny", "Allow"]),
)
runtime = objects(
    name=st.just("vllm"),
    image=words,
    args=st.lists(words, max_size=3),
    env=st.lists(st.fixed_dictionaries({"name": words}, optional={"value": words}), max_size=3),
)
accelerator = objects(
    resourceName=st.sampled_from(["nvidia.com/gpu", "amd.com/gpu"]),
    count=st.integers(0, 8),
    product=st.just("NVIDIA-L40S"),
)
resources = objects(cpu=quantities, memory=quantities, accelerator=accelerator)
cache = objects(
    medium=st.sampled_from(["PersistentVolumeClaim", "EmptyDir"]),
    claimName=st.just("shared"),
    size=quantities,
    storageClassName=st.just("fast"),
    accessMode=st.sampled_from(["ReadWriteOnce", "ReadWriteMany"]),
)
count = st.integers(0, 4)
bounds = st.tuples(count, count).map(
    lambda b: {"minReplicas": min(b), "maxReplicas": max(b)},
)
scaling = st.builds(
    lambda given, more: given | more,
    st.just({}) | st.just({"maxReplicas": 0}) | count.map(lambda n: {"minReplicas": n}) | bounds,
    objects(replicas=count, state=st.sampled_from(["Active", "Paused"])),
)
rollout = objects(
    strategy=st.sampled_from(["RollingUpdate", "Recreate"]),
    maxSurge=st.integers(1, 3),
    drainSeconds=st.integers(1, 99),
    progressDeadlineSeconds=st.integers(30, 99),
)
labels = st.sampled_from(["mine", "modelops.dev/model", "modelops.dev/revision"])
pod_template = objects(
    metadata=st.fixed_dictionaries(
        {}, optional={"labels": st.dictionaries(labels, words, max_size=2) | json, "x": json}
    ),
    spec=st.dictionaries(
        st.sampled_from(["containers", "volumes", "nodeSelector", "tolerations", "hostname"]),
        json | st.lists(st.fixed_dictionaries({"name": words | json, "env": json}), max_size=2),
        max_size=3,
    ),
)
plain_specs = objects(
    {"model": model},
    runtime=runtime,
    resources=resources,
    cache=cache,
    scaling=scaling,
    rollout=rollout,
    text=objects(contextLength=st.integers(1, 10**6)),
)
specs = st.builds(lambda spec, patch: spec | patch, plain_specs, objects(podTemplate=pod_template))


def resource(name: str, spec: Json, generation: int = 1) -> dict[str, Json]:
    """Return a TextModel as the API server holds it."""
    return {
        "apiVersion": "modelops.dev/v1alpha1",
        "kind": "TextModel",
        "metadata": {"name": name, "namespace": "default", "uid": UID, "generation": generation},
        "spec": spec,
    }


resources_plain = st.builds(resource, names, plain_specs, st.integers(1, 3))
resources_any = st.builds(resource, names, specs, st.integers(1, 3))
resources_wrong = st.builds(resource, st.text(min_size=1, max_size=60), json | specs)
