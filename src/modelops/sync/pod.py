"""The pod of one replica: a container that fetches the weights, then the engine."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelops.api.base import GROUP
from modelops.registry.uri import ClaimSource
from modelops.sync.merge import merge
from modelops.sync.observed import CLAIM, DEPLOYMENT, Observed
from modelops.sync.plan import WEIGHTS_PATH, Plan
from modelops.sync.worker import engine_mounts, worker, worker_volumes

USER: Final = 10001
"""The user that every image of the platform runs as."""

ACCOUNT: Final = "modelops"
"""Its name, for libraries that ask for one where the image's password file has none."""

PRE_STOP_SECONDS: Final = 5
"""Time for every proxy to take a leaving replica out before its engine hears SIGTERM."""

STARTUP_PERIOD_SECONDS: Final = 1
"""A replica that is up serves within this time; a slower probe would delay every start."""

REVISION_LABEL: Final = f"{GROUP}/revision"
"""On every pod: tells the replicas of the current template from those of earlier ones."""

EXIT_SECONDS: Final = 15
"""Time for an engine that has drained to end by itself before it is killed."""

FETCHER: Final = "weights"
"""The init container that fetches the weights."""

RESTRICTED: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
"""The security context of every container of ours."""

POD_SECURITY: Final = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""And of every pod."""


def pod_template(observed: Observed, plan: Plan, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the pod template of a replica.

    Without ``spec.podTemplate`` it passes Pod Security ``restricted``; with it, the labels by
    which the model finds its pods are still its own. A new image of the weights container alone
    replaces no replica that serves, so that an upgrade of the operator restarts no model.
    """
    template = _template(observed, plan, labels, plan.fetch_image)
    live = _serving(observed)
    if live is None:
        return template
    kept = _template(observed, plan, labels, _fetch_image(live))
    return kept if marked_revision(kept) == marked_revision(live) else template


def _template(
    observed: Observed, plan: Plan, labels: Mapping[str, str], fetch_image: str
) -> dict[str, Any]:
    identity = {"metadata": {"labels": dict(labels)}}
    patch = plan.spec.pod_template.patch() if plan.spec.pod_template else {}
    template = merge(
        merge({**identity, "spec": _pod(observed, plan, fetch_image)}, patch), identity
    )
    mark = {"metadata": {"labels": {REVISION_LABEL: _digest(template)}}}
    return dict(merge(template, mark))


def _serving(observed: Observed) -> Mapping[str, Any] | None:
    """Return the live pod template while every replica made from it serves."""
    deployment = observed.child(DEPLOYMENT)
    if deployment is None:
        return None
    status = deployment.get("status", {})
    all_ready = 0 < status.get("replicas", 0) == status.get("readyReplicas", 0)
    return deployment["spec"]["template"] if all_ready else None


def _fetch_image(template: Mapping[str, Any]) -> str:
    containers = template["spec"].get("initContainers", [])
    return next((str(c["image"]) for c in containers if c["name"] == FETCHER), "")


def marked_revision(given: Mapping[str, Any]) -> str | None:
    """Return the revision that a pod or a pod template is marked with, if it is."""
    value = (given.get("metadata", {}).get("labels") or {}).get(REVISION_LABEL)
    return None if value is None else str(value)


def _digest(template: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]


def _pod(observed: Observed, plan: Plan, fetch_image: str) -> dict[str, Any]:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _grace_seconds(plan),
        "securityContext": POD_SECURITY,
        "initContainers": [_fetch(observed, plan, fetch_image)],
        "containers": [_engine(plan), *_worker(observed, plan, fetch_image)],
        "volumes": _volumes(observed, plan),
        **_placement(plan),
    }


def _grace_seconds(plan: Plan) -> int:
    return PRE_STOP_SECONDS + plan.spec.rollout.drain_seconds + EXIT_SECONDS


def _fetch(observed: Observed, plan: Plan, image: str) -> dict[str, Any]:
    stored = _stored(plan, read_only=not plan.cached)
    secret = plan.spec.model.secret_ref
    return fetcher(image, _fetch_args(observed, plan), secret.name if secret else None, stored)


def fetcher(
    image: str, args: Sequence[str], secret: str | None, *stored: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the init container that fetches or finds weights and links them below /weights.

    ``secret`` has the credentials, ``stored`` are the mounts that hold the weights.
    """
    credentials = {"envFrom": [{"secretRef": {"name": secret}}]} if secret else {}
    return {
        "name": FETCHER,
        "image": image,
        "command": ["modelops-fetch"],
        "args": list(args),
        "env": [{"name": "HOME", "value": "/tmp"}],
        **credentials,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [
            {"name": "weights", "mountPath": "/weights"},
            *stored,
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _fetch_args(observed: Observed, plan: Plan) -> list[str]:
    model = plan.spec.model
    optional = {"--revision": model.revision, "--endpoint": model.endpoint}
    return [
        f"--uri={model.uri}",
        *(f"{flag}={value}" for flag, value in optional.items() if value),
        *(["--cache=/cache", f"--pin={_pin(observed)}"] if plan.cached else ["--source=/source"]),
        f"--link={WEIGHTS_PATH}",
        f"--formats={model.formats}",
        f"--remote-code={model.remote_code}",
        *(["--remote-code=Allow"] if model.remote_code == "Allow" else []),
    ]


def _pin(observed: Observed) -> str:
    return f"{observed.namespace}.{observed.kind.singular}.{observed.name}"


def _stored(plan: Plan, *, read_only: bool) -> dict[str, Any]:
    """Return the mount that holds the weights; the link in /weights points into it."""
    path = "/cache" if plan.cached else "/source"
    return {"name": "stored", "mountPath": path, **({"readOnly": True} if read_only else {})}


def _engine(plan: Plan) -> dict[str, Any]:
    own = {"HOME": "/tmp", "USER": ACCOUNT, **plan.command.env}
    env = own | {v.name: v.value for v in plan.spec.runtime.env}
    return {
        "name": "engine",
        "image": plan.image,
        "command": list(plan.command.args),
        "args": list(plan.spec.runtime.args),
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "ports": [{"name": "http", "containerPort": plan.runtime.port, "protocol": "TCP"}],
        "resources": _resources(plan),
        "securityContext": RESTRICTED,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        **_probes(plan),
        "volumeMounts": [
            {"name": "weights", "mountPath": "/weights", "readOnly": True},
            _stored(plan, read_only=True),
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "shm", "mountPath": "/dev/shm"},
            *engine_mounts(plan),
        ],
    }


def _worker(observed: Observed, plan: Plan, image: str) -> list[dict[str, Any]]:
    found = worker(observed, plan, image)
    return [container | {"securityContext": RESTRICTED} for container in found]


def _probes(plan: Plan) -> dict[str, Any]:
    get = {"httpGet": {"path": plan.runtime.health_path, "port": "http"}}
    failures = plan.runtime.startup_seconds // STARTUP_PERIOD_SECONDS
    startup = {**get, "periodSeconds": STARTUP_PERIOD_SECONDS, "failureThreshold": failures}
    ready = {**get, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3}
    live = {**get, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6}
    return {
        "startupProbe": startup | {"timeoutSeconds": 5},
        "readinessProbe": ready,
        "livenessProbe": live,
    }


def _resources(plan: Plan) -> dict[str, Any]:
    asked, runtime = plan.spec.resources, plan.runtime
    requests = {
        "cpu": asked.cpu or runtime.cpu.get(plan.device),
        "memory": asked.memory or runtime.memory.get(plan.device),
    }
    limits = {"memory": asked.memory} if asked.memory else {}
    if plan.accelerator:
        limits[plan.accelerator.resource_name] = str(plan.accelerator.count)
    known = {name: value for name, value in requests.items() if value}
    return {"requests": known, **({"limits": limits} if limits else {})}


def _volumes(observed: Observed, plan: Plan) -> list[dict[str, Any]]:
    return [
        {"name": "weights", "emptyDir": {}},
        {"name": "stored", **_storage(observed, plan)},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        *worker_volumes(plan),
    ]


def _storage(observed: Observed, plan: Plan) -> dict[str, Any]:
    cache = plan.spec.cache
    if isinstance(plan.source, ClaimSource):
        return {"persistentVolumeClaim": {"claimName": plan.source.claim, "readOnly": True}}
    if cache.medium == "EmptyDir":
        return {"emptyDir": {"sizeLimit": cache.size} if cache.size else {}}
    claim = cache.claim_name or observed.name + CLAIM.suffix
    return {"persistentVolumeClaim": {"claimName": claim}}


def _placement(plan: Plan) -> dict[str, Any]:
    if not plan.accelerator or not plan.accelerator.product:
        return {}
    return {"nodeSelector": {"nvidia.com/gpu.product": plan.accelerator.product}}
