"""Why a replica does not serve: the cause found in its pod, and what to do about it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelops.runtimes.runtime import Runtime
from modelops.sync.replica import Replica, said

_PULL_FAILURES: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_TAIL: Final = 300
"""How much of an engine's last words a sentence can carry."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a replica does not serve. ``reason`` is stable; ``action`` says what to do next."""

    reason: str
    message: str
    action: str

    @property
    def sentence(self) -> str:
        """The cause and the next action in one sentence."""
        return f"{self.message}: {self.action}"


def diagnose(replica: Replica, runtime: Runtime) -> Cause | None:
    """Return why a replica does not serve; None when nothing is wrong with it."""
    if replica.leaving:
        return _ended(replica)
    finders: tuple[Callable[[Replica, Runtime], Cause | None], ...] = (
        _unschedulable,
        _unpullable,
        _misconfigured,
        _weights_failed,
        _engine_failed,
    )
    return next((cause for find in finders if (cause := find(replica, runtime))), None)


def _ended(replica: Replica) -> Cause | None:
    if replica.status.get("reason") != "Evicted":
        return None
    return Cause(
        "Evicted",
        f"pod {replica.name} was evicted: {replica.status.get('message', 'no message')}",
        "give the node more room, or set spec.resources to what the model needs",
    )


def _unschedulable(replica: Replica, _: Runtime) -> Cause | None:
    scheduled = replica.condition("PodScheduled")
    if scheduled.get("status") != "False":
        return None
    message = str(scheduled.get("message", ""))
    claim = re.search(r'persistentvolumeclaim "([^"]+)" not found', message)
    if claim:
        return Cause(
            "ClaimNotFound",
            f"there is no PersistentVolumeClaim {claim[1]} in the namespace",
            "create it, or correct the claim's name in the spec",
        )
    if "unbound" in message and "PersistentVolumeClaim" in message:
        return Cause(
            "ClaimPending",
            f"a PersistentVolumeClaim has no volume yet ({message})",
            "check that its storage class exists and can provide the size",
        )
    return Cause(
        "Unschedulable",
        f"no node fits ({message})",
        "add such a node, free one, or lower spec.resources",
    )


def _waiting(replica: Replica) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for container in replica.containers:
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            yield container, waiting


def _unpullable(replica: Replica, _: Runtime) -> Cause | None:
    for container, waiting in _waiting(replica):
        if waiting.get("reason") in _PULL_FAILURES:
            return Cause(
                "ImagePullFailed",
                f"image {container['image']} cannot be pulled ({_short(waiting.get('message'))})",
                "check its name and tag, that the node reaches the registry, and the pull secret",
            )
    return None


def _misconfigured(replica: Replica, _: Runtime) -> Cause | None:
    for container, waiting in _waiting(replica):
        message = _short(waiting.get("message"))
        secret = re.search(r'secret "([^"]+)" not found', message)
        if secret:
            return Cause(
                "SecretNotFound",
                f"there is no Secret {secret[1]} in the namespace",
                "create it, or correct spec.model.secretRef.name",
            )
        if str(waiting.get("reason", "")).endswith("Error"):
            return Cause(
                "ContainerRefused",
                f"container {container['name']} cannot be created ({message})",
                "correct spec.runtime or spec.podTemplate",
            )
    return None


def _last_failure(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for state in ("state", "lastState"):
        ended = container.get(state, {}).get("terminated")
        if ended:
            return ended if ended.get("exitCode") else None
    return None


def _weights_failed(replica: Replica, _: Runtime) -> Cause | None:
    ended = _last_failure(replica.weights)
    if not ended:
        return None
    told = said(ended)
    if told and {"reason", "message", "action"} <= told.keys():
        return Cause(str(told["reason"]), str(told["message"]), str(told["action"]))
    return Cause(
        "WeightsFetchFailed",
        f"the weights container ended with code {ended['exitCode']} ({ended.get('reason')})",
        f"see `kubectl logs {replica.name} -c weights`",
    )


def _engine_failed(replica: Replica, runtime: Runtime) -> Cause | None:
    ended = _last_failure(replica.engine)
    if not ended or replica.ready:
        return None
    if ended.get("reason") == "OOMKilled":
        return Cause(
            "OutOfMemory",
            "the engine needed more memory than it may have and was killed",
            "raise spec.resources.memory",
        )
    last_words = str(ended.get("message") or "")
    hints = (_hinted(hint.pattern, last_words) and hint for hint in runtime.hints)
    hint = next((hint for hint in hints if hint), None)
    if hint:
        line = _hinted(hint.pattern, last_words)
        return Cause(hint.reason, f"{hint.message} ({line})", hint.action)
    return Cause(
        "EngineCrashed",
        f"the engine ended with code {ended['exitCode']} after {_restarts(replica)} "
        f"({_short(_last_line(last_words))})",
        f"see `kubectl logs {replica.name} -c engine --previous`",
    )


def _hinted(pattern: str, text: str) -> str | None:
    line = next((line for line in text.splitlines() if re.search(pattern, line)), None)
    return None if line is None else _short(line.strip())


def _restarts(replica: Replica) -> str:
    count = replica.engine.get("restartCount", 0)
    return f"{count} restart" + ("" if count == 1 else "s")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no last words"


def _short(text: object) -> str:
    words = str(text or "no message")
    return words if len(words) <= _TAIL else f"{words[:_TAIL]} ..."
