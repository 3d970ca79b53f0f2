"""The Job of a build: a container that fetches the source, then the builder's."""

import hashlib
import json
from typing import Any, Final

from modelops.api.base import API_VERSION, GROUP
from modelops.builders.builder import command
from modelops.builders.recipe import as_document
from modelops.registry.uri import ClaimSource
from modelops.sync.builds.observed import CLAIM, JOB, STORE, ObservedBuild, build_labels
from modelops.sync.builds.plan import BuildPlan
from modelops.sync.observed import Manifest
from modelops.sync.pod import ACCOUNT, POD_SECURITY, RESTRICTED, fetcher

BUILDER: Final = "build"
"""The container that builds."""

TEMPLATE: Final = f"{GROUP}/template"
"""On a Job: what it was made from, so that one that failed is made anew when that has changed."""

RECIPE: Final = f"{GROUP}/recipe"
"""On its pods: the recipe, which the container reads as a file."""

REFUSED_CODE: Final = 2
"""The builder ends with it when another attempt would end the same way."""

QUEUE: Final = "kueue.x-k8s.io/queue-name"
"""On an object and its Job: in which queue Kueue has it wait for its turn."""

_WEIGHTS: Final = "/weights/model"
_STORE: Final = "/store"


def render_job(observed: ObservedBuild, plan: BuildPlan) -> dict[str, Any]:
    """Return the Job that makes the artifact, owned by all that share it."""
    spec = _spec(plan)
    return {
        "apiVersion": JOB[0],
        "kind": JOB[1],
        "metadata": {
            "name": plan.job,
            "namespace": observed.namespace,
            "labels": {**build_labels(plan.asked.address), **_queue(plan)},
            "annotations": {TEMPLATE: template_mark(plan)},
            "ownerReferences": [owner(resource) for resource in plan.sharing],
        },
        "spec": spec,
    }


def _queue(plan: BuildPlan) -> dict[str, str]:
    """Return the label by which Kueue finds the Job: the oldest object's own, or the platform's."""
    own = (plan.sharing[0]["metadata"].get("labels") or {}) if plan.sharing else {}
    name = own.get(QUEUE) or plan.platform.build_queue
    return {QUEUE: name} if name else {}


def template_mark(plan: BuildPlan) -> str:
    """Return what tells one rendering of a Job from another."""
    return hashlib.sha256(json.dumps(_spec(plan), sort_keys=True).encode()).hexdigest()[:16]


def owner(resource: Manifest) -> dict[str, Any]:
    """Return the reference to one of the objects that a Job is for: it goes with the last."""
    meta = resource["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": str(resource["kind"]),
        "name": str(meta["name"]),
        "uid": str(meta["uid"]),
    }


def render_store(observed: ObservedBuild, plan: BuildPlan) -> dict[str, Any]:
    """Return the namespace's own claim: nobody's, for artifacts outlive what asked for them."""
    platform = plan.platform
    named = platform.cache_storage_class
    return {
        "apiVersion": CLAIM[0],
        "kind": CLAIM[1],
        "metadata": {
            "name": STORE,
            "namespace": observed.namespace,
            "labels": build_labels(),
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": platform.cache_size}},
            **({"storageClassName": named} if named else {}),
        },
    }


def _spec(plan: BuildPlan) -> dict[str, Any]:
    spec = plan.oldest.spec
    labels = build_labels(plan.asked.address)
    return {
        "activeDeadlineSeconds": spec.deadline_seconds,
        "backoffLimit": spec.retries,
        "podFailurePolicy": {"rules": _failures()},
        "template": {
            "metadata": {"labels": labels, "annotations": {RECIPE: _recipe(plan)}},
            "spec": _pod(plan),
        },
    }


def _failures() -> list[dict[str, Any]]:
    """Return what is no failed attempt, and what ends all attempts."""
    hopeless = {"containerName": BUILDER, "operator": "In", "values": [REFUSED_CODE]}
    return [
        {
            "action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        },
        {"action": "FailJob", "onExitCodes": hopeless},
    ]


def _recipe(plan: BuildPlan) -> str:
    return json.dumps(as_document(plan.oldest.recipe), sort_keys=True)


def _pod(plan: BuildPlan) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "initContainers": [_fetch(plan)],
        "containers": [_builder(plan)],
        "volumes": _volumes(plan),
        **_placement(plan),
    }


def _fetch(plan: BuildPlan) -> dict[str, Any]:
    source = plan.oldest.spec.source
    optional = {"--revision": source.revision, "--endpoint": source.endpoint}
    in_place = isinstance(plan.oldest.source, ClaimSource)
    args = (
        f"--uri={source.uri}",
        *(f"{flag}={value}" for flag, value in optional.items() if value),
        *(["--source=/source"] if in_place else [f"--cache={_STORE}", f"--pin={_pin(plan)}"]),
        f"--link={_WEIGHTS}",
        "--formats=SafetensorsOnly",
        "--remote-code=Deny",
    )
    secret = source.secret_ref.name if source.secret_ref else None
    return fetcher(plan.fetch_image, args, secret, *_stored(plan))


def _pin(plan: BuildPlan) -> str:
    """Return the name under which what the source stood for is kept: one for all its builds."""
    return f"build.{plan.asked.recipe.source.digest[:32]}"


def _builder(plan: BuildPlan) -> dict[str, Any]:
    env = {"HOME": "/tmp", "USER": ACCOUNT, "HF_HUB_OFFLINE": "1"}
    return {
        "name": BUILDER,
        "image": plan.asked.recipe.builder_image,
        "command": [
            *command("/recipe/recipe.json", _WEIGHTS, f"{_STORE}/artifacts"),
            *_calibration_args(plan),
        ],
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "resources": _resources(plan),
        "securityContext": RESTRICTED,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "weights", "mountPath": "/weights", "readOnly": True},
            *_stored(plan),
            *_calibration_mount(plan),
            {"name": "recipe", "mountPath": "/recipe", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    }


def _resources(plan: BuildPlan) -> dict[str, Any]:
    given, builder = plan.oldest.spec.resources, plan.asked.builder
    memory = given.memory or str(builder.memory_base)
    limits = {"memory": given.memory} if given.memory else {}
    if plan.accelerator:
        limits[plan.accelerator.resource_name] = str(plan.accelerator.count)
    requests = {"cpu": given.cpu or builder.cpu, "memory": memory}
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _stored(plan: BuildPlan) -> list[dict[str, Any]]:
    """Return the mounts of what is kept: the store, and the claim of a source that lies on one."""
    store = {"name": "store", "mountPath": _STORE}
    if not isinstance(plan.oldest.source, ClaimSource):
        return [store]
    same = plan.oldest.source.claim == plan.store
    name = "store" if same else "source"
    return [store, {"name": name, "mountPath": "/source", "readOnly": True}]


def _volumes(plan: BuildPlan) -> list[dict[str, Any]]:
    items = [{"path": "recipe.json", "fieldRef": {"fieldPath": _annotation(RECIPE)}}]
    return [
        {"name": "weights", "emptyDir": {}},
        {"name": "store", "persistentVolumeClaim": {"claimName": plan.store}},
        *_source_volume(plan),
        *_calibration_volume(plan),
        {"name": "recipe", "downwardAPI": {"items": items}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]


def _text(plan: BuildPlan) -> ClaimSource | None:
    """Return where the calibration text lies, if it is the user's own."""
    calibration = plan.asked.recipe.options.calibration
    if calibration is None or not calibration.dataset.startswith("pvc://"):
        return None
    claim, _, path = calibration.dataset.removeprefix("pvc://").partition("/")
    return ClaimSource(claim, path)


def _calibration_args(plan: BuildPlan) -> list[str]:
    text = _text(plan)
    return [f"--calibration=/calibration/{text.path}"] if text else []


def _calibration_mount(plan: BuildPlan) -> list[dict[str, Any]]:
    mount = {"name": "calibration", "mountPath": "/calibration", "readOnly": True}
    return [mount] if _text(plan) else []


def _calibration_volume(plan: BuildPlan) -> list[dict[str, Any]]:
    text = _text(plan)
    if text is None:
        return []
    claim = {"claimName": text.claim, "readOnly": True}
    return [{"name": "calibration", "persistentVolumeClaim": claim}]


def _source_volume(plan: BuildPlan) -> list[dict[str, Any]]:
    source = plan.oldest.source
    if not isinstance(source, ClaimSource) or source.claim == plan.store:
        return []
    return [
        {
            "name": "source",
            "persistentVolumeClaim": {"claimName": source.claim, "readOnly": True},
        }
    ]


def _annotation(name: str) -> str:
    return f"metadata.annotations['{name}']"


def _placement(plan: BuildPlan) -> dict[str, Any]:
    product = plan.accelerator.product if plan.accelerator else None
    place = {"nodeSelector": {"nvidia.com/gpu.product": product}} if product else {}
    priority = plan.platform.build_priority_class
    return {**place, **({"priorityClassName": priority} if priority else {})}
