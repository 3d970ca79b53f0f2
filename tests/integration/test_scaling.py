"""Who scales a model, on a real API server, with KEDA's real CRDs and without them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from e2e.cluster import golang
from e2e.cluster.places import Places
from integration import play
from integration.api import Api, Manifest
from integration.conftest import Start, condition, text_model
from integration.decider import Decider, deciding
from integration.process import OperatorProcess, eventually
from integration.test_attachment import installing, remove
from integration.verdict import reaches, reason

SCALER = "gateway-scaler.modelops-system.svc:9905"
FREE = {"minReplicas": 0, "maxReplicas": 4}
PROMETHEUS = {
    "serverAddress": "http://prometheus:9090",
    "query": "sum(jobs)",
    "threshold": 2,
    "secretRef": {"name": "metrics", "key": "token"},
}
STREAM = {"address": "redis:6379", "stream": "jobs", "consumerGroup": "workers", "lag": 5}
TRIGGERS = [{"redisStreams": STREAM}, {"prometheus": PROMETHEUS}]


@pytest.fixture(scope="module")
def crds() -> list[Manifest]:
    """KEDA's CRDs that models have objects of, out of KEDA's own module."""
    package = golang.KEDA.package.split("/cmd/")[0]
    bases = golang.source("keda", package, Places.of_environment().store) / "config/crd/bases"
    names = ("scaledobjects", "triggerauthentications")
    return [yaml.safe_load((bases / f"keda.sh_{name}.yaml").read_text()) for name in names]


@dataclass(frozen=True)
class Keda:
    """KEDA, as far as the API server knows it: its CRDs."""

    come: Callable[[], None]
    go: Callable[[], None]


@pytest.fixture
def keda(api: Api, crds: list[Manifest]) -> Iterator[Keda]:
    """KEDA, which has not come yet, and is gone in the end."""
    with installing(api, crds) as come:
        yield Keda(come, lambda: remove(api, crds))


@pytest.fixture
def decider() -> Iterator[Decider]:
    """What decides how many replicas models need."""
    with deciding() as running:
        yield running


@pytest.fixture
def operator(start: Start, decider: Decider) -> OperatorProcess:
    """An operator of a platform whose gateway decides."""
    return start(SCALER=SCALER, DECISIONS_URL=decider.url).ready()


@pytest.fixture
def gateway(operator: OperatorProcess, decider: Decider) -> Decider:
    """The gateway, as far as the operator that runs beside it asks it for decisions."""
    assert operator.leads
    return decider


def scaled_by(api: Api, namespace: str) -> Manifest:
    """Return the model's condition ScalingActive."""
    return condition(api.find("TextModel", namespace, "chat"), "ScalingActive")


def is_scaled_by(api: Api, namespace: str, reason: str, seconds: float = 60) -> None:
    """Wait until the condition ScalingActive has that reason."""
    eventually(
        lambda: scaled_by(api, namespace).get("reason") == reason,
        seconds,
        f"{reason}; it is {scaled_by(api, namespace)}",
    )


def asked(api: Api, namespace: str) -> int | None:
    """Return how many replicas are asked for."""
    scaling = api.get("TextModel", namespace, "chat")["spec"]["scaling"]
    return scaling.get("replicas")


def run(api: Api, namespace: str) -> int:
    """Return how many replicas the Deployment shall have; -1 while there is none."""
    found = api.find("Deployment", namespace, "chat")
    return int(found["spec"]["replicas"]) if found else -1


def has(api: Api, namespace: str, replicas: int) -> None:
    """Wait until the Deployment shall have so many replicas, and has them."""
    eventually(lambda: run(api, namespace) == replicas, what=f"{replicas} replicas")
    play.scaled(api, namespace, replicas=replicas)


def writers(api: Api, namespace: str) -> set[str]:
    """Return the field managers of the Deployment's replicas."""
    managed = api.get("Deployment", namespace, "chat")["metadata"]["managedFields"]
    return {m["manager"] for m in managed if "f:replicas" in m["fieldsV1"].get("f:spec", {})}


def ask(api: Api, namespace: str, replicas: int, manager: str) -> None:
    """Ask for replicas as a client of that name does."""
    path = api.path("TextModel", namespace, "chat") + f"/scale?fieldManager={manager}"
    api.raw("PATCH", path, {"spec": {"replicas": replicas}}, "application/merge-patch+json")


def notes(api: Api, namespace: str) -> dict[str, str]:
    """Return the notes of the model's Events by their reasons."""
    return {event["reason"]: event["note"] for event in api.all("Event", namespace)}


def test_keda_gets_what_it_needs(
    api: Api,
    namespace: str,
    keda: Keda,
    gateway: Decider,
) -> None:
    """A ScaledObject and the secrets of its triggers: valid, owned, and gone with the bounds."""
    keda.come()
    gateway.decide(f"{namespace}/chat", 0, "idle")
    api.create(text_model(namespace, scaling={**FREE, "triggers": TRIGGERS, "replicas": 0}))
    found = eventually(lambda: api.find("ScaledObject", namespace, "chat"), what="a ScaledObject")
    spec = found["spec"]
    assert spec["scaleTargetRef"]["kind"] == "TextModel"
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 4)
    assert [t["type"] for t in spec["triggers"]] == [
        "external-push",
        "redis-streams",
        "prometheus",
    ]
    assert spec["triggers"][0]["metadata"] == {
        "scalerAddress": SCALER,
        "model": f"{namespace}/chat",
    }
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("TextModel", "chat")
    secret = api.get("TriggerAuthentication", namespace, "chat-trigger-1")
    assert secret["spec"]["secretTargetRef"] == [
        {"parameter": "bearerToken", "name": "metrics", "key": "token"}
    ]
    is_scaled_by(api, namespace, "KEDA")
    paused = "autoscaling.keda.sh/paused"
    for state, expected in (("Paused", "true"), ("Active", None)):
        api.merge("TextModel", namespace, "chat", {"spec": {"scaling": {"state": state}}})
        eventually(
            lambda expected=expected: (
                api.get("ScaledObject", namespace, "chat")["metadata"]
                .get("annotations", {})
                .get(paused)
                == expected
            ),
            what=state,
        )
    api.merge("TextModel", namespace, "chat", {"spec": {"scaling": {"maxReplicas": 0}}})
    reaches(api, namespace, "Idle")
    eventually(lambda: api.find("ScaledObject", namespace, "chat") is None, what="no ScaledObject")
    is_scaled_by(api, namespace, "Off")


def test_the_gateways_decisions_are_followed_without_keda(
    api: Api, namespace: str, gateway: Decider, operator: OperatorProcess
) -> None:
    """Up, to zero, and back: each change is told with what caused it, and counted."""
    name = f"{namespace}/chat"
    gateway.decide(name, 0, "idle")
    api.create(text_model(namespace, scaling=FREE))
    has(api, namespace, 0)
    is_scaled_by(api, namespace, "BuiltIn")
    for replicas, metric in ((1, "held"), (3, "queueDepth"), (2, "concurrency"), (0, "idle")):
        gateway.decide(name, replicas, metric)
        has(api, namespace, replicas)
        assert asked(api, namespace) == replicas
    wanted = {
        "Woken": "0 -> 1 replicas by held: held asks for 1",
        "ScaledUp": "1 -> 3 replicas by queueDepth: queueDepth asks for 3",
        "ScaledDown": "3 -> 2 replicas by concurrency: concurrency asks for 2",
        "ScaledToZero": "2 -> 0 replicas by idle: idle asks for 0",
    }
    eventually(lambda: wanted.items() <= notes(api, namespace).items(), what="the Events")
    assert writers(api, namespace) == {"modelops-scaler"}
    reaches(api, namespace, "Idle")
    last = api.get("TextModel", namespace, "chat")["status"]["lastScale"]
    assert (last["replicasBefore"], last["replicas"], last["metric"]) == (2, 0, "idle")
    counted = 'modelops_scale_changes_total{direction="Woken",kind="TextModel",metric="held"} 1.0'
    assert counted in operator.scrape()


SPOILT: dict[str, Callable[[Decider, str], None]] = {
    "away": lambda gateway, _: setattr(gateway, "silent", True),
    "silent about the model": lambda gateway, _: gateway.models.clear(),
    "not a number": lambda gateway, name: gateway.models[name].update(replicas="NaN"),
    "negative": lambda gateway, name: gateway.decide(name, -3),
    "stale": lambda gateway, name: gateway.models[name].update(at=1.0),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_not_known_changes_nothing(
    api: Api,
    namespace: str,
    gateway: Decider,
    spoil: Callable[[Decider, str], None],
) -> None:
    """A gateway that is away or talks nonsense keeps what is there, and the status says so."""
    name = f"{namespace}/chat"
    gateway.decide(name, 2)
    api.create(text_model(namespace, scaling=FREE))
    has(api, namespace, 2)
    is_scaled_by(api, namespace, "BuiltIn")
    spoil(gateway, name)
    is_scaled_by(api, namespace, "MetricsMissing")
    assert (run(api, namespace), asked(api, namespace)) == (2, 2)
    gateway.silent = False
    gateway.decide(name, 1, "concurrency")
    has(api, namespace, 1)
    is_scaled_by(api, namespace, "BuiltIn")


def test_keda_may_come_and_go(
    api: Api,
    namespace: str,
    keda: Keda,
    gateway: Decider,
) -> None:
    """KEDA takes over within a minute, and its leaving is survived; replicas stay as they are."""
    name = f"{namespace}/chat"
    gateway.decide(name, 3)
    api.create(text_model(namespace, scaling=FREE))
    has(api, namespace, 3)
    is_scaled_by(api, namespace, "BuiltIn")
    keda.come()
    eventually(lambda: api.find("ScaledObject", namespace, "chat"), 60, "a ScaledObject")
    is_scaled_by(api, namespace, "KEDA")
    gateway.decide(name, 2)
    turns = gateway.asked
    eventually(lambda: gateway.asked > turns + 3, what="turns of the built-in scaler")
    assert (asked(api, namespace), run(api, namespace)) == (3, 3)
    ask(api, namespace, 2, "kube-controller-manager")
    has(api, namespace, 2)
    keda.go()
    is_scaled_by(api, namespace, "BuiltIn")
    assert run(api, namespace) == 2
    gateway.decide(name, 4)
    has(api, namespace, 4)


def test_switching_writers_never_drops_replicas(api: Api, namespace: str, gateway: Decider) -> None:
    """Whoever asks, and whoever stops: one writer of replicas, and never fewer than asked for."""
    seen: list[int] = []
    api.create(text_model(namespace, scaling={**FREE, "replicas": 3}))
    has(api, namespace, 3)
    eventually(lambda: writers(api, namespace) == {"modelops-scaler"}, what="one writer")
    for manager in ("keda", "kube-controller-manager", "kubectl", "modelops-activator"):
        ask(api, namespace, 3, manager)
        seen.append(run(api, namespace))
        assert writers(api, namespace) == {"modelops-scaler"}
    gateway.decide(f"{namespace}/chat", 4)
    has(api, namespace, 4)
    gateway.silent = True
    is_scaled_by(api, namespace, "MetricsMissing")
    seen.append(run(api, namespace))
    nobody: dict[str, Any] = {"spec": {"scaling": {"replicas": None}}}
    api.merge("TextModel", namespace, "chat", nobody)
    eventually(lambda: asked(api, namespace) == 4, what="the ask is what there is")
    seen.append(run(api, namespace))
    assert min(seen) >= 3
    assert writers(api, namespace) == {"modelops-scaler"}


def test_no_model_goes_to_zero_during_a_rollout(api: Api, namespace: str, gateway: Decider) -> None:
    """An idle model keeps a replica until its new version has taken over; then it rests."""
    gateway.decide(f"{namespace}/chat", 2)
    api.create(text_model(namespace, scaling=FREE))
    has(api, namespace, 2)
    api.merge("TextModel", namespace, "chat", {"spec": {"runtime": {"image": "vllm:next"}}})

    def image() -> str:
        containers = api.get("Deployment", namespace, "chat")["spec"]["template"]["spec"]
        return str(containers["containers"][0]["image"])

    eventually(lambda: image() == "vllm:next", what="the new version")
    gateway.decide(f"{namespace}/chat", 0, "idle")
    eventually(lambda: asked(api, namespace) == 0, what="zero is asked for")
    eventually(lambda: run(api, namespace) == 1, what="one replica is kept")
    told = "asked for: 0, and kept: 1"
    eventually(lambda: told in scaled_by(api, namespace)["message"], what="it is said")
    assert run(api, namespace) == 1
    play.scaled(api, namespace, replicas=1)
    has(api, namespace, 0)
    reaches(api, namespace, "Idle")


def test_a_failover_drops_nothing(api: Api, namespace: str, start: Start, decider: Decider) -> None:
    """The operator is killed while it scales: the second goes on from there, alone."""
    name, seen = f"{namespace}/chat", set[int]()
    first = start(IDENTITY="first", SCALER=SCALER, DECISIONS_URL=decider.url).ready()
    decider.decide(name, 2)
    api.create(text_model(namespace, scaling=FREE))
    has(api, namespace, 2)
    second = start(IDENTITY="second", SCALER=SCALER, DECISIONS_URL=decider.url)
    eventually(lambda: second.stands_by, what="the second stands by")
    decider.decide(name, 3)
    has(api, namespace, 3)
    assert (second.leads, second.passes) == (False, 0)
    decider.decide(name, 4)
    first.kill()

    def scaled() -> bool:
        seen.add(run(api, namespace))
        return second.leads and run(api, namespace) == 4

    eventually(scaled, 60, "the second scales")
    play.scaled(api, namespace, replicas=4)
    assert seen <= {3, 4}
    assert asked(api, namespace) == 4
    assert writers(api, namespace) == {"modelops-scaler"}
    is_scaled_by(api, namespace, "BuiltIn")


def contending(api: Api, namespace: str, name: str, **scaling: Any) -> str:
    """Have a model with one replica that takes a GPU, and return its name for the gateway."""
    free = {"minReplicas": 0, "replicas": 1, **scaling}
    gpu = {"accelerator": {"count": 1, "resourceName": "nvidia.com/gpu"}}
    runtime = {"image": "vllm:test"}
    spec = {"scaling": free, "resources": gpu, "runtime": runtime}
    api.create(text_model(namespace, name, **spec))
    eventually(lambda: api.find("Deployment", namespace, name), what="a Deployment")
    play.scaled(api, namespace, name)
    play.pod(api, namespace, name)
    return f"{namespace}/{name}"


@pytest.mark.parametrize(("silent", "left"), [(True, 0), (False, 1)], ids=["idle", "busy"])
def test_an_idle_model_gives_way_to_one_of_higher_priority(
    api: Api, namespace: str, gateway: Decider, *, silent: bool, left: int
) -> None:
    """Where no GPU is free; both tell it. One that has a request stays."""
    high = {"priority": 10, "preemption": "IdleLowerPriority"}
    gateway.decide(contending(api, namespace, "chat"), 1, silent=silent)
    play.running(api, namespace)
    gateway.decide(contending(api, namespace, "urgent", **high), 1)
    play.unschedulable(api, namespace, "urgent", "1 Insufficient nvidia.com/gpu.")
    eventually(lambda: reason(api, namespace, "urgent") == "Unschedulable", what="Unschedulable")
    turns = gateway.asked
    eventually(lambda: gateway.asked > turns + 2, what="turns of the built-in scaler")
    eventually(lambda: run(api, namespace) == left, what=f"{left} replicas")
    if silent:
        told = f"sent to zero for TextModel {namespace}/urgent, which has priority 10 over 0"
        eventually(lambda: told in notes(api, namespace).get("ScaledToZero", ""), what="an Event")
        eventually(lambda: told in scaled_by(api, namespace)["message"], what="its own sentence")
        eventually(
            lambda: (
                f"TextModel {namespace}/chat, which was idle, gives way to it"
                in condition(api.get("TextModel", namespace, "urgent"), "ScalingActive")["message"]
            ),
            what="the other's sentence",
        )
