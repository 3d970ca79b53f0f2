"""Story: who scales a model may come and go, and each follows what the gateway has measured."""

from collections.abc import Iterator

import openai
import pytest

from e2e.gateway.caller import client, until_listed
from e2e.keda import NAMESPACE, keda
from e2e.keys import new_key
from e2e.platform import GATEWAY, SYSTEM_NAMESPACE
from e2e.scaling.record import recorded, writers
from e2e.scaling.state import until_replicas, until_scaled_by
from e2e.scaling.traffic import ask, busy
from e2e.space import Space

NAME = "scaled"
SCALING = {
    "minReplicas": 0,
    "maxReplicas": 2,
    "targets": {"concurrency": 1},
    "idleAfterSeconds": 10,
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
}


@pytest.fixture(scope="module")
def served(space: Space) -> Iterator[Space]:
    """A model that scales from none to two replicas, on a cluster that has no KEDA at first."""
    keda("down")
    space.model(NAME, scaling=SCALING)
    yield space
    keda("down")


@pytest.fixture(scope="module")
def caller(served: Space) -> Iterator[openai.OpenAI]:
    """Who may use the model."""
    with served.kube.forward(f"service/{GATEWAY}", 80, SYSTEM_NAMESPACE) as url:
        known = client(url, new_key(served.kube, "scaling", NAME))
        until_listed(served, known, NAME)
        yield known


def test_scalers_take_over_from_each_other(served: Space, caller: openai.OpenAI) -> None:
    """The operator scales, KEDA takes over when it comes, and nothing is lost when it dies."""
    assert ask(caller, NAME) == 200  # the first request wakes the model
    until_scaled_by(served, NAME, "BuiltIn", 30)
    with busy(caller, NAME, 3):
        until_replicas(served, NAME, 2, 60)
        with recorded(served, NAME) as counts:
            keda("up")
            until_scaled_by(served, NAME, "KEDA", 60)
            served.kube.wait(f"scaledobject/{NAME}", "condition=Ready", served.name, 60)
            served.kube.run("delete", "pods", "--all", "-n", NAMESPACE, "--wait")
            served.kube.run("rollout", "status", "deployment", "-n", NAMESPACE, "--timeout=120s")
        assert set(counts) == {2}


def keda_pods(space: Space, count: int) -> None:
    """Have KEDA's operator run so often."""
    where = ("-n", NAMESPACE, f"--replicas={count}")
    space.kube.run("scale", "deployment", "keda-operator", *where)
    space.kube.run("rollout", "status", "deployment", "-n", NAMESPACE, "--timeout=120s")


def test_a_keda_that_does_not_run_is_stood_in_for(served: Space, caller: openai.OpenAI) -> None:
    """The operator's scaler takes over within about a minute, and hands over to KEDA again."""
    keda_pods(served, 0)
    until_scaled_by(served, NAME, "BuiltIn", 75)
    assert "KEDA has not asked" in served.condition(NAME, "ScalingActive")["message"]
    until_replicas(served, NAME, 0, 120)
    with busy(caller, NAME, 3):
        until_replicas(served, NAME, 2, 120)
        with recorded(served, NAME) as counts:
            keda_pods(served, 1)
            until_scaled_by(served, NAME, "KEDA", 90)
        assert set(counts) == {2}
    assert writers(served, "deployment", NAME, "spec", "replicas") == {"modelops-scaler"}


def test_keda_scales_to_zero_and_back(served: Space, caller: openai.OpenAI) -> None:
    """KEDA takes an idle model's replicas and gives it two; they stay when KEDA is removed."""
    until_replicas(served, NAME, 0, 90)
    served.until_reason(NAME, "Idle", 30)
    with busy(caller, NAME, 3):
        until_replicas(served, NAME, 2, 120)

        with recorded(served, NAME) as counts:
            keda("down")
            until_scaled_by(served, NAME, "BuiltIn", 90)
        assert set(counts) == {2}
    assert writers(served, "deployment", NAME, "spec", "replicas") == {"modelops-scaler"}
