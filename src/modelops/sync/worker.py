"""The worker in a pod whose engine does jobs: it brings them, and takes away what they make."""

from collections.abc import Iterator
from typing import Any, Final

from modelops.sync.catalogue import Jobs
from modelops.sync.observed import Observed
from modelops.sync.plan import Plan

WORKER: Final = "worker"
"""The container that brings jobs."""

PORT: Final = 9910
"""Where it tells of itself."""

SCRATCH: Final = "/scratch"
"""Where it and the engine pass files to each other."""

_SECRETS: Final = "/redis"
_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def worker(observed: Observed, plan: Plan, image: str) -> list[dict[str, Any]]:
    """Return the worker's container, where the engine does jobs; what it may do is to be added."""
    jobs, feeds = plan.platform.jobs, plan.runtime.jobs
    if feeds is None or jobs is None:
        return []
    ready = {"httpGet": {"path": "/ready", "port": WORKER}, "periodSeconds": 2}
    return [
        {
            "name": WORKER,
            "image": image,
            "command": ["modelops-worker"],
            "env": [*_env(observed, plan, jobs, feeds(plan.spec)), *_secrets(jobs)],
            "ports": [{"name": WORKER, "containerPort": PORT, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "readinessProbe": ready | {"timeoutSeconds": 5, "failureThreshold": 3},
            "volumeMounts": [*engine_mounts(plan), *_mounts(jobs)],
        }
    ]


def engine_mounts(plan: Plan) -> list[dict[str, Any]]:
    """Return what an engine that does jobs sees besides."""
    return [{"name": "scratch", "mountPath": SCRATCH}] if plan.runtime.jobs else []


def worker_volumes(plan: Plan) -> list[dict[str, Any]]:
    """Return the volumes of a pod whose engine does jobs."""
    jobs = plan.platform.jobs
    if plan.runtime.jobs is None or jobs is None:
        return []
    secret = {"name": "redis", "secret": {"secretName": jobs.redis_secret}}
    return [{"name": "scratch", "emptyDir": {}}, *([secret] if jobs.redis_secret else [])]


def _env(observed: Observed, plan: Plan, jobs: Jobs, at_once: int) -> Iterator[dict[str, Any]]:
    given = {
        "MODEL": f"{observed.namespace}/{observed.name}",
        "REDIS_URL": jobs.redis_url,
        "REDIS_FOLDER": _SECRETS if jobs.redis_secret else "",
        "S3_BUCKET": jobs.s3_bucket,
        "S3_ENDPOINT": jobs.s3_endpoint,
        "PUBLIC_URL": jobs.public_url,
        "ENGINE_URL": f"http://127.0.0.1:{plan.runtime.port}",
        "SCRATCH": SCRATCH,
        "CONCURRENCY": str(at_once),
        "GRACE_SECONDS": str(plan.spec.rollout.drain_seconds),
        "METRICS_PORT": str(PORT),
        "HOME": SCRATCH,
    }
    return ({"name": name, "value": value} for name, value in given.items() if value)


def _secrets(jobs: Jobs) -> Iterator[dict[str, Any]]:
    for key in _KEYS if jobs.s3_secret else ():
        reference = {"name": jobs.s3_secret, "key": key}
        yield {"name": key, "valueFrom": {"secretKeyRef": reference}}


def _mounts(jobs: Jobs) -> list[dict[str, Any]]:
    mounted = {"name": "redis", "mountPath": _SECRETS, "readOnly": True}
    return [mounted] if jobs.redis_secret else []
