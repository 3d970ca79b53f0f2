"""Why a replica does not serve: the cause found in its pod, and what to do about it."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from modelops.runtimes.runtime import Hint, Runtime
from modelops.sync.cause import Cause, short
from modelops.sync.replica import Replica, last_end, said

UNSCHEDULABLE: Final = "Unschedulable"

_PULL_FAILURES: Final = frozenset(
    {
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_NEVER_RAN: Final = frozenset({"ContainerCannotRun", "StartError"})
_REASON: Final = r"[A-Z][A-Za-z]+"
_PASSING: Final = frozenset({"SourceUnreachable"})
_PREEMPTION: Final = r"[.,]?( no new claims to deallocate,)? preemption: .*"
"""What the scheduler tried besides; it only repeats why no node fits."""


def diagnose(replica: Replica, runtime: Runtime) -> Cause | None:
    """Return why a replica does not serve; None when nothing is wrong with it."""
    if replica.leaving:
        return lost(replica)
    before = hindrance(replica)
    return before or _engine_failed(replica, runtime) or _other_failed(replica)


def hindrance(replica: Replica) -> Cause | None:
    """Return what keeps a pod from coming to its own work; None when nothing does."""
    finders: tuple[Callable[[Replica], Cause | None], ...] = (
        _unschedulable,
        _unpullable,
        _misconfigured,
        _weights_failed,
    )
    return next((cause for find in finders if (cause := find(replica))), None)


def lost(replica: Replica) -> Cause | None:
    """Return why a pod that has ended was taken away; None when nobody did that."""
    reason = replica.status.get("reason")
    told = short(replica.status.get("message"))
    if not reason or not replica.ended:
        return None
    if reason == "Evicted":
        return Cause(
            "Evicted",
            f"pod {replica.name} was evicted ({told})",
            "give the node more room, or set spec.resources to what the model needs",
            passing=True,
        )
    return Cause(
        "PodRejected",
        f"pod {replica.name} was turned away by its node ({reason}: {told})",
        "another pod takes its place; if that goes on, see `kubectl describe node`",
        passing=True,
    )


def _unschedulable(replica: Replica) -> Cause | None:
    scheduled = replica.condition("PodScheduled")
    if scheduled.get("status") != "False":
        return None
    message = str(scheduled.get("message", ""))
    if scheduled.get("reason") == "SchedulingGated":
        return Cause(
            "SchedulingGated",
            f"the pod waits in a queue ({short(message)})",
            "wait until whoever set its scheduling gates lifts them",
            passing=True,
        )
    why = re.sub(_PREEMPTION, "", message, flags=re.DOTALL).rstrip(". ")
    return _without_claim(message) or Cause(
        UNSCHEDULABLE,
        f"no node fits ({short(why)})",
        "add such a node, free one, or lower spec.resources",
        passing=True,
    )


def _without_claim(message: str) -> Cause | None:
    missing = re.search(r'persistentvolumeclaim "([^"]+)" not found', message)
    if missing:
        return Cause(
            "ClaimNotFound",
            f"there is no PersistentVolumeClaim {missing[1]} in the namespace",
            "create it, or correct the claim's name in the spec",
        )
    if "unbound immediate PersistentVolumeClaims" in message:
        return Cause(
            "ClaimPending",
            "a PersistentVolumeClaim of the pod has no volume yet",
            "wait, or check with `kubectl describe pvc` that its storage class exists and has room",
            passing=True,
        )
    return None


def _waiting(replica: Replica) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for container in replica.containers:
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            yield container, waiting


def _unpullable(replica: Replica) -> Cause | None:
    for container, waiting in _waiting(replica):
        if waiting.get("reason") in _PULL_FAILURES:
            return Cause(
                "ImagePullFailed",
                f"image {container.get('image')} cannot be pulled "
                f"({short(waiting.get('message'))})",
                "check its name and tag, that the node reaches the registry, and the pull secret",
            )
    return None


def _misconfigured(replica: Replica) -> Cause | None:
    for container, waiting in _waiting(replica):
        if str(waiting.get("reason", "")).endswith("Error"):
            return _refused(container["name"], str(waiting.get("message", "")))
    return None


def _refused(container: str, message: str) -> Cause:
    missing = re.search(r'(secret|configmap) "([^"]+)" not found', message)
    if missing:
        secret = missing[1] == "secret"
        kind = "Secret" if secret else "ConfigMap"
        return Cause(
            "SecretNotFound" if secret else "ConfigMapNotFound",
            f"there is no {kind} {missing[2]} in the namespace",
            "create it, or correct its name in spec.model.secretRef or spec.podTemplate",
        )
    return Cause(
        "ContainerRefused",
        f"container {container} cannot be started ({short(message)})",
        "correct spec.runtime or spec.podTemplate",
    )


def _weights_failed(replica: Replica) -> Cause | None:
    ended = last_end(replica.weights)
    if not ended or not ended.get("exitCode"):
        return None
    told = said(ended) or {}
    if re.fullmatch(_REASON, str(told.get("reason"))) and {"message", "action"} <= told.keys():
        reason, message, action = (str(told[key]) for key in ("reason", "message", "action"))
        return Cause(reason, short(message), short(action), passing=reason in _PASSING)
    return Cause(
        "WeightsFetchFailed",
        f"the weights container ended with code {ended['exitCode']} ({ended.get('reason')})",
        f"see `kubectl logs {replica.name} -c weights`",
    )


def _engine_failed(replica: Replica, runtime: Runtime) -> Cause | None:
    ended = replica.crash
    if not ended:
        return None
    last_words = str(ended.get("message") or "")
    if ended.get("reason") in _NEVER_RAN:
        return _refused("engine", last_words)
    if ended.get("reason") == "OOMKilled":
        return Cause(
            "OutOfMemory",
            "the engine needed more memory than it may have and was killed",
            "raise spec.resources.memory",
        )
    lines = (*last_words.splitlines(), *_errors(replica.log))
    return _hinted(runtime.hints, lines) or Cause(
        "EngineCrashed",
        f"the engine ended with code {ended.get('exitCode')} after {_restarts(replica)} "
        f"({short(_last_line(last_words))})",
        f"see `kubectl logs {replica.name} -c engine --previous`",
    )


def _errors(log: str) -> Iterator[str]:
    """Yield the lines that tell of errors, for the cause may lie long before the last words."""
    return (line for line in log.splitlines() if re.search(r"[Ee]rror\b", line))


def _hinted(hints: tuple[Hint, ...], lines: Collection[str]) -> Cause | None:
    found = (
        Cause(hint.reason, f"{hint.message} ({short(line)})", hint.action)
        for hint in hints
        for line in lines
        if re.search(hint.pattern, line)
    )
    return next(found, None)


def _other_failed(replica: Replica) -> Cause | None:
    """Find a container beside the engine that does not run: the worker, or the user's own."""
    for container, waiting in _waiting(replica):
        ended = last_end(container)
        if ended and waiting.get("reason") == "CrashLoopBackOff":
            return Cause(
                "ContainerCrashed",
                f"container {container['name']} ended with code {ended.get('exitCode')}"
                f" ({short(_last_line(str(ended.get('message') or '')))})",
                f"see `kubectl logs {replica.name} -c {container['name']} --previous`",
            )
    return None


def _restarts(replica: Replica) -> str:
    count = replica.engine.get("restartCount", 0)
    return f"{count} restart" + ("" if count == 1 else "s")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no last words"
