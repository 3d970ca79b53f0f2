"""Story: bad input gets a clear answer within 30 s of the fact, and is never Ready."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from e2e.kube import KubeError
from e2e.restricted import pod
from e2e.space import Space

WITHIN_SECONDS = 30
NO_HUB = "http://hub.invalid:9"

MAY_PASS = {"SourceUnreachable", "Unschedulable"}
"""A hub may come back and a node be added: nobody has to act, so the model is not stalled yet."""


@dataclass(frozen=True)
class Bad:
    """A TextModel that cannot serve, the reason it must show, and words its sentence must hold."""

    name: str
    spec: dict[str, Any]
    reason: str
    says: tuple[str, ...]
    starts_engine: bool = field(default=False)


def _hub(**model: Any) -> dict[str, Any]:
    return {
        "model": {"uri": "hf://acme/tiny", "endpoint": NO_HUB, **model},
        "cache": {"medium": "EmptyDir"},
    }


BAD = (
    Bad("missing", {"model": {"uri": "pvc://models/nothing"}}, "WeightsNotFound", ("nothing",)),
    Bad("pickled", {"model": {"uri": "pvc://models/pickled"}}, "WeightsUnsafe", ("safetensors",)),
    Bad("no-claim", {"model": {"uri": "pvc://nowhere/x"}}, "ClaimNotFound", ("nowhere",)),
    Bad("no-hub", _hub(), "SourceUnreachable", ("hub.invalid",)),
    Bad("no-secret", _hub(secretRef={"name": "nope"}), "SecretNotFound", ("nope", "secretRef")),
    Bad(
        "no-image",
        {"runtime": {"image": "registry.invalid/engine:1"}},
        "ImagePullFailed",
        ("registry.invalid/engine:1", "registry"),
    ),
    Bad(
        "no-node",
        {"resources": {"accelerator": {"count": 8}}, "runtime": {"image": "unused.invalid/x:1"}},
        "Unschedulable",
        ("nvidia.com/gpu", "spec.resources"),
    ),
    Bad(
        "no-memory",
        {"resources": {"memory": "200Mi"}},
        "OutOfMemory",
        ("spec.resources.memory",),
        starts_engine=True,
    ),
    Bad(
        "bad-args",
        {"runtime": {"args": ["--no-such-flag=1"]}},
        "EngineArguments",
        ("--no-such-flag", "spec.runtime.args"),
        starts_engine=True,
    ),
)


@pytest.fixture(scope="module")
def broken(space: Space) -> Space:
    """All of the bad models, applied at once."""
    _pickle(space)
    for bad in BAD:
        space.model(bad.name, **bad.spec)
    return space


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_the_cause_and_the_next_action_are_told(broken: Space, bad: Bad) -> None:
    """Ready is False with a stable reason and a sentence that names the cause and the action."""
    ready = broken.until_reason(bad.name, bad.reason, 240 if bad.starts_engine else 90)
    assert ready["status"] == "False"
    assert all(word in ready["message"] for word in bad.says), ready["message"]
    stalled = "False" if bad.reason in MAY_PASS else "True"
    assert broken.condition(bad.name, "Stalled")["status"] == stalled


@pytest.mark.parametrize("bad", [b for b in BAD if b.starts_engine], ids=lambda bad: bad.name)
def test_a_crash_is_told_in_time(broken: Space, bad: Bad) -> None:
    """The reason is there within 30 s after the engine's container ended."""
    broken.until(lambda: bool(_ends(broken, bad.name)), 240, lambda: "the engine did not end")
    first_end = min(_ends(broken, bad.name))
    broken.until(lambda: bool(_events(broken, bad)), WITHIN_SECONDS, lambda: "no Event tells it")
    told = min(_told_at(event) for event in _events(broken, bad))
    assert (told - first_end).total_seconds() < WITHIN_SECONDS


def test_a_crash_loop_is_never_ready(broken: Space) -> None:
    """Over two restarts of a crashing engine Ready is never seen True."""
    seen: set[str] = set()

    def restarted() -> bool:
        seen.add(broken.condition("bad-args").get("status", "False"))
        return _restarts(broken, "bad-args") >= 2

    broken.until(restarted, 240, lambda: f"{_restarts(broken, 'bad-args')} restarts")
    assert seen == {"False"}


def test_an_unknown_field_is_refused(space: Space) -> None:
    """Kubectl refuses a field that does not exist, and names it."""
    with pytest.raises(KubeError, match="modle"):
        space.model("typo", modle={"uri": "pvc://models/tiny-llama"})


def test_a_bad_uri_is_refused_with_what_to_write(space: Space) -> None:
    """The API server refuses a source it does not know and says which forms there are."""
    with pytest.raises(KubeError, match="hf://OWNER/NAME"):
        space.model("bad-uri", model={"uri": "ftp://somewhere"})


def _pickle(space: Space) -> None:
    """Store a model on the claim whose only weights are a pickle file."""
    write = (
        "import pathlib; d = pathlib.Path('/models/pickled'); d.mkdir(exist_ok=True); "
        "(d / 'config.json').write_text('{}'); (d / 'pytorch_model.bin').write_bytes(b'x' * 64)"
    )
    mounts = {"/models": {"persistentVolumeClaim": {"claimName": "models"}}}
    writer = pod("pickle", space.stage.images["modelops"], ["python3", "-c", write], mounts=mounts)
    space.kube.apply(writer, namespace=space.name)
    space.kube.wait("pod/pickle", "jsonpath={.status.phase}=Succeeded", space.name, 60)


def _engines(space: Space, model: str) -> list[dict[str, Any]]:
    statuses = [pod["status"].get("containerStatuses", []) for pod in space.pods(model)]
    return [s for listed in statuses for s in listed if s["name"] == "engine"]


def _restarts(space: Space, model: str) -> int:
    return max((status["restartCount"] for status in _engines(space, model)), default=0)


def _ends(space: Space, model: str) -> list[datetime]:
    states = [s.get(k, {}) for s in _engines(space, model) for k in ("state", "lastState")]
    ended = [state["terminated"]["finishedAt"] for state in states if "terminated" in state]
    return [datetime.fromisoformat(time) for time in ended]


def _events(space: Space, bad: Bad) -> list[dict[str, Any]]:
    return [
        event
        for event in space.kube.all("events", space.name)
        if event["involvedObject"]["name"] == bad.name and event["reason"] == bad.reason
    ]


def _told_at(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event.get("eventTime") or event["firstTimestamp"])
