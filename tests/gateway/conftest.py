"""What the gateway's tests share: one real Envoy in front of a fake engine."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.engine import Engine, engine
from gateway.proxy import Gateway, gateway, until
from modelops.gateway.snapshot import Endpoint, Model


def model(name: str, *ports: int, namespace: str = "team", **fields: Any) -> Model:
    """Return a model whose replicas listen on these ports of loopback."""
    slug = name.lower().replace("/", "-")
    endpoints = tuple(Endpoint("127.0.0.1", p) for p in ports)
    return Model(name, namespace, slug, 1, endpoints, **fields)


@pytest.fixture(scope="session")
def fake() -> Iterator[Engine]:
    """A fake engine."""
    with engine() as started:
        yield started


@pytest.fixture(scope="session")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A real Envoy with an empty configuration."""
    with gateway(tmp_path_factory.mktemp("envoy")) as started:
        yield started


@pytest.fixture
def front(envoy: Gateway, fake: Engine) -> Iterator[Gateway]:
    """The Envoy in front of llama-8b, of Qwen/Qwen3-8B, and of idle, which has no replica.

    It has taken every configuration that the test gave it.
    """
    models = (model("llama-8b", fake.port), model("Qwen/Qwen3-8B", fake.port), model("idle"))
    envoy.serve(
        models=models,
        routes=(),
        tenants=(),
        revoked=frozenset(),
        public_keys=(envoy.signing.public,),
    )
    with envoy.client(envoy.key("*")) as client:
        until(lambda: len(client.get("/v1/models").json().get("data", [])) == 3, 5)
    yield envoy
    assert not any(envoy.stats("update_(rejected|failure)").values())
