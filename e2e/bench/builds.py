"""`python -m e2e.bench.builds`: what a build costs beside the bare tool, and what equal ones cost.

The bare tool is the same image with the same input and no more than the tool: it makes and measures
as it does in a build, and nobody fetches, checks, seals or reports. Both are Jobs with the same
requests, one after the other; the wall times of the Jobs are compared.
"""

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from e2e.bench.record import Figure, record
from e2e.cluster.shell import step
from e2e.demo.show import prepare
from e2e.platform import Platform, platform
from e2e.restricted import pod
from e2e.space import Space
from e2e.weights import CLAIM, PATH

NAMESPACE: Final = "modelops-bench"
HUNDRED: Final = 100
LABEL: Final = "modelops.dev/kind=ModelBuild"
WORK: Final = "/tmp/work"
RESOURCES: Final = {"cpu": "100m", "memory": "4Gi"}
BARE: Final = (
    f"mkdir -p {WORK}/making {WORK}/kept {WORK}/scratch && ln -s making {WORK}/made"
    f' && printf %s "$ORDER" > {WORK}/order.json'
    f" && exec python3 /opt/build/tool.py {WORK}/order.json"
)


def measure() -> None:
    """Measure and record all figures of builds on the local cluster."""
    stage = platform()
    stage.kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    prepare(stage, NAMESPACE)
    space = Space(stage, NAMESPACE)
    with step("pull the image"):
        space.kube.apply(pod("warm", stage.images["llm-compressor"], ["true"]), namespace=NAMESPACE)
        _until(lambda: _phase(space, "warm") == "Succeeded")
    with step("a build"):
        first = _apply(space, 0)
        _until(lambda: _ready(space, first))
    with step("the bare tool on the same input"):
        bare = _bare(stage, space)
    with step("a hundred builds with that recipe"):
        began = time.monotonic()
        names = [_apply(space, number) for number in range(1, HUNDRED)]
        _until(lambda: all(_ready(space, name) for name in names))
        hundred = time.monotonic() - began
    jobs = _jobs(space)
    with step("one more"):
        began = time.monotonic()
        last = _apply(space, HUNDRED)
        _until(lambda: _ready(space, last), 0.05)
        second = time.monotonic() - began
    ours = _wall(jobs[0])
    record(
        "builds",
        [
            Figure("build_overhead_ratio", ours / bare, "ratio", {"bare_tool_s": bare}),
            Figure("jobs_for_100_objects", len(jobs), "Jobs", {"seconds_for_99": hundred}),
            Figure("second_build_jobs", len(_jobs(space)) - len(jobs), "Jobs"),
            Figure("second_build_ready", second, "s"),
        ],
    )
    stage.kube.run("delete", "namespace", NAMESPACE, "--wait=false")


def _apply(space: Space, number: int) -> str:
    """Apply a ModelBuild; return its name."""
    name = f"build-{number}"
    spec = {
        "source": {"uri": f"pvc://{CLAIM}/{PATH}"},
        "method": "FP8",
        "gate": {"maxDrop": "0.5", "samples": 4},
        "resources": RESOURCES,
    }
    manifest = {
        "apiVersion": "modelops.dev/v1alpha1",
        "kind": "ModelBuild",
        "metadata": {"name": name},
        "spec": spec,
    }
    space.kube.apply(manifest, namespace=space.name)
    return name


def _phase(space: Space, name: str) -> str:
    found = space.kube.get("pod", name, space.name) or {}
    return str((found.get("status") or {}).get("phase", ""))


def _ready(space: Space, name: str) -> bool:
    found = space.kube.get("modelbuild", name, space.name) or {}
    conditions = (found.get("status") or {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _jobs(space: Space) -> list[dict[str, Any]]:
    return space.kube.all("jobs", space.name, LABEL)


def _wall(job: dict[str, Any]) -> float:
    """Return the seconds from a Job's start to its completion."""
    times = (job["status"][name] for name in ("startTime", "completionTime"))
    began, ended = map(datetime.fromisoformat, times)
    return (ended - began).total_seconds()


def _bare(stage: Platform, space: Space) -> float:
    """Return the wall time of a Job that runs the tool on the recipe of the build."""
    (job,) = _jobs(space)
    template = job["spec"]["template"]
    recipe = json.loads(template["metadata"]["annotations"]["modelops.dev/recipe"])
    order = {
        "recipe": recipe,
        "source": f"/models/{PATH}",
        "making": f"{WORK}/making",
        "made": f"{WORK}/made",
        "kept": f"{WORK}/kept",
        "scratch": f"{WORK}/scratch",
        "calibration": None,
        "stages": ["make", "measure"],
    }
    mounts = {
        "/models": {"persistentVolumeClaim": {"claimName": CLAIM, "readOnly": True}},
        "/dev/shm": {"emptyDir": {"medium": "Memory"}},
    }
    env = {"HOME": "/tmp", "USER": "modelops", "HF_HUB_OFFLINE": "1", "ORDER": json.dumps(order)}
    image = stage.images["llm-compressor"]
    bare = pod("bare", image, ["sh", "-c", BARE], mounts=mounts, env=env)
    bare["spec"]["containers"][0]["resources"] = {
        "requests": RESOURCES,
        "limits": {"memory": "4Gi"},
    }
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "bare"},
        "spec": {"backoffLimit": 0, "template": {"spec": bare["spec"]}},
    }
    space.kube.apply(manifest, namespace=space.name)
    _until(lambda: bool(_job(space, "bare").get("status", {}).get("conditions")))
    return _wall(_job(space, "bare"))


def _job(space: Space, name: str) -> dict[str, Any]:
    return space.kube.get("job", name, space.name) or {}


def _until(holds: Callable[[], bool], pause: float = 1.0) -> None:
    end = time.monotonic() + 900
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("it did not come about within 900 s")
        time.sleep(pause)


if __name__ == "__main__":
    measure()
