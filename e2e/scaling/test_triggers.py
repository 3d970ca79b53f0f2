"""Story: what else KEDA looks at for a model: a query of Prometheus, the lag of a Redis stream."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.keda import keda
from e2e.scaling.record import recorded
from e2e.scaling.sources import HOST, Figure, Process, ask_redis, figure, prometheus, redis
from e2e.scaling.state import until_replicas, until_scaled_by
from e2e.space import Space

PASSWORD = "not a secret, but asked for"  # noqa: S105  of a server that lives for a minute
SMALL = {
    "args": ["--enforce-eager"],
    "env": [
        {"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"},
        {"name": "VLLM_ENABLE_V1_MULTIPROCESSING", "value": "0"},
    ],
}


@pytest.fixture(scope="module")
def served(space: Space) -> Iterator[Space]:
    """A cluster with KEDA."""
    keda("up")
    yield space
    keda("down")


def triggered(space: Space, name: str, trigger: dict[str, Any]) -> None:
    """Apply a model that rests until its trigger asks for a replica, and wait until it does."""
    scaling = {"minReplicas": 0, "maxReplicas": 2, "idleAfterSeconds": 10, "triggers": [trigger]}
    space.model(name, scaling=scaling, runtime=SMALL)
    space.until_reason(name, "Idle", 60)
    until_scaled_by(space, name, "KEDA", 90)


@pytest.fixture
def jobs() -> Iterator[tuple[Figure, int]]:
    """How many jobs wait, and the port at which that is told."""
    with figure() as told:
        yield told


@pytest.fixture
def metrics(tmp_path: Path, jobs: tuple[Figure, int]) -> Iterator[Process]:
    """Prometheus, which knows how many jobs wait."""
    with prometheus(tmp_path, jobs[1]) as server:
        yield server


def keda_says(space: Space, name: str) -> str:
    """Return what KEDA says of a ScaledObject."""
    found = space.kube.get("scaledobject", name, space.name) or {}
    listed = found.get("status", {}).get("conditions", [])
    return next((one.get("reason", "") for one in listed if one["type"] == "Ready"), "")


def test_a_query_asks_for_replicas_and_no_data_keeps_them(
    served: Space, jobs: tuple[Figure, int], metrics: Process
) -> None:
    """Up and down by the query; neither a missing series nor a dead Prometheus leads to zero."""
    waiting, name = jobs[0], "queried"
    url = f"http://{HOST}:{metrics.port}"
    query = {"serverAddress": url, "query": "sum(jobs_waiting)", "threshold": 1}
    triggered(served, name, {"prometheus": query})
    with recorded(served, name) as counts:
        waiting.value = 2
        until_replicas(served, name, 2, 180)
        waiting.value = 1
        until_replicas(served, name, 1, 180)
        waiting.value = None
        until_scaled_by(served, name, "TriggersFailing", 90)
        metrics.stop()
        # Nothing else asks for a replica by then: KEDA would go to zero, if no data were zero.
        served.until(
            lambda: keda_says(served, name) == "TriggerError",
            120,
            lambda: f"KEDA says {keda_says(served, name)}",
        )
        until_scaled_by(served, name, "TriggersFailing", 60)
        waiting.value = 0
        metrics.start()
        until_scaled_by(served, name, "KEDA", 90)
        until_replicas(served, name, 0, 120)
    assert [n for n, before in zip(counts, [None, *counts], strict=False) if n != before] in (
        [0, 1, 2, 1, 0],
        [0, 2, 1, 0],
    )
    served.delete(name)


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Process]:
    """Redis, with a stream of jobs and a group of workers that has read all of it."""
    with redis(tmp_path, PASSWORD) as server:
        ask_redis(server, PASSWORD, "xgroup", "create", "jobs", "workers", "$", "mkstream")
        yield server


def test_the_lag_of_a_stream_asks_for_replicas(served: Space, stream: Process) -> None:
    """By a password that KEDA reads from the Secret; the operator never sees it."""
    name = "streamed"
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "redis"},
        "stringData": {"password": PASSWORD},
    }
    served.kube.apply(secret, namespace=served.name)
    lagging = {
        "address": f"{HOST}:{stream.port}",
        "stream": "jobs",
        "consumerGroup": "workers",
        "lag": 5,
        "secretRef": {"name": "redis", "key": "password"},
    }
    triggered(served, name, {"redisStreams": lagging})
    for count in range(10):
        ask_redis(stream, PASSWORD, "xadd", "jobs", "*", "job", str(count))
    until_replicas(served, name, 2, 180)
    ask_redis(stream, PASSWORD, "xgroup", "setid", "jobs", "workers", "$")
    until_replicas(served, name, 0, 180)
    served.delete(name)
