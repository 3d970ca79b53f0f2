"""The sentence of a pass: the state, its cause, what to do next."""

import pytest

from modelops.sync.observed import Observed
from sync import kubelet
from sync.world import ago, condition, deployment, model, passed, pod, running, seen

OLD = {"labels": {"modelops.dev/revision": "0123456789abcdef"}}
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
QUOTA = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": 'pods "tiny-1" is forbidden: exceeded quota: gpus'
    ", requested: requests.nvidia.com/gpu=1, limited: requests.nvidia.com/gpu=4",
}
LOOPING = running(
    since=ago(seconds=40),
    restartCount=3,
    lastState={
        "terminated": {"exitCode": 1, "startedAt": ago(minutes=7), "finishedAt": ago(minutes=6)}
    },
)


def world(
    *statuses: dict | str,
    wanted: int = 1,
    old: tuple[dict, ...] = (),
    progress: dict | None = None,
    **status: object,
) -> Observed:
    """Return a model whose Deployment has pods with these statuses, and pods of a past version."""
    tiny = model(scaling={"minReplicas": wanted})
    pods = [pod(tiny, told, name=f"tiny-{i}") for i, told in enumerate(statuses, 1)]
    past = [pod(tiny, told, name=f"old-{i}", **OLD) for i, told in enumerate(old, 1)]
    total = {"replicas": len(pods) + len(past), "updatedReplicas": len(pods)}
    deployed = deployment(tiny, replicas=wanted) | {"status": {"observedGeneration": 1} | total}
    deployed["status"] |= status
    return seen(tiny, deployed, pods=(*pods, *past), progress=progress)


FETCHING = kubelet.weights("state: {running: {startedAt: '2026-01-01T11:59:00Z'}}")
OOM = kubelet.crashed(137, "OOMKilled", "")
NO_GPU = kubelet.unscheduled("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.")
GOING = {"deletionTimestamp": ago(seconds=3)}

CASES = {
    "nothing yet": (
        seen(model()),
        "Deploying",
        "0 of 1 replica; applying the model's objects",
    ),
    "serving": (world(running()), "Serving", "serving 1 of 1 replica"),
    "serving more": (
        world(running(), running(), wanted=2),
        "Serving",
        "serving 2 of 2 replicas",
    ),
    "no pod yet": (world(), "Pending", "0 of 1 replica; waiting for a pod to start"),
    "fetching": (
        world(FETCHING, progress={"event": "progress", "doneBytes": 1024, "totalBytes": 4096}),
        "FetchingWeights",
        "0 of 1 replica; fetching the weights: 25% (1.0 KiB of 4.0 KiB)",
    ),
    "fetching, nothing known": (
        world(FETCHING),
        "FetchingWeights",
        "0 of 1 replica; fetching the weights",
    ),
    "loading": (
        world(running(ready=False)),
        "StartingEngine",
        "0 of 1 replica; the engine loads the model",
    ),
    "silent": (
        world(
            running(ready=False)
            | {
                "conditions": [
                    {"type": "Ready", "status": "False", "lastTransitionTime": ago(minutes=1)}
                ]
            }
        ),
        "NotAnswering",
        "0 of 1 replica; an engine that ran does not answer any more",
    ),
    "one of two": (
        world(running(), NO_GPU, wanted=2),
        "Unschedulable",
        (
            "1 of 2 replicas; no node fits (0/2 nodes are available: 2 Insufficient "
            "nvidia.com/gpu): add such a node, free one, or lower spec.resources"
        ),
    ),
    "out of memory": (
        world(OOM),
        "OutOfMemory",
        (
            "0 of 1 replica; the engine needed more memory than it may have and was killed: raise "
            "spec.resources.memory"
        ),
    ),
    "the old version holds the room": (
        world(NO_GPU, old=(running(),)),
        "Unschedulable",
        (
            "0 of 1 replica; no node fits (0/2 nodes are available: 2 Insufficient "
            "nvidia.com/gpu): add such a node, free one, or lower spec.resources; or set "
            "spec.rollout.strategy to Recreate, which stops the previous version first; the "
            "previous version goes on serving with 1 replica"
        ),
    ),
    "the new version fails, the old one serves": (
        world(OOM, old=(running(),)),
        "OutOfMemory",
        (
            "0 of 1 replica; the engine needed more memory than it may have and was killed: raise "
            "spec.resources.memory; the previous version goes on serving with 1 replica"
        ),
    ),
    "the new version is ready, the old one leaves": (
        world(running(), old=(running(),)),
        "RollingOut",
        "1 of 1 replica; replicas of the previous version are leaving",
    ),
    "ready between two crashes": (
        world(LOOPING),
        "CrashLooping",
        (
            "1 of 1 replica; the engine of pod tiny-1 keeps crashing: see `kubectl logs tiny-1 -c "
            "engine --previous`"
        ),
    ),
    "too late": (
        world(running(ready=False), conditions=[LATE]),
        "RolloutTimedOut",
        (
            "0 of 1 replica; the new version did not become ready in time: see its pods' logs, or "
            "raise spec.rollout.progressDeadlineSeconds"
        ),
    ),
    "quota": (
        world(conditions=[QUOTA]),
        "PodRefused",
        (
            '0 of 1 replica; the cluster refuses the pod (pods "tiny-1" is forbidden: exceeded '
            "quota: gpus, requested: requests.nvidia.com/gpu=1, "
            "limited: requests.nvidia.com/gpu=4): change the quota or policy it names, or "
            "spec.podTemplate"
        ),
    ),
    "idle": (
        world(wanted=0),
        "Idle",
        "idle at zero replicas; a request to the gateway wakes it, or `kubectl scale --replicas=1`",
    ),
    "going to zero": (
        world(running(), wanted=0),
        "ScalingDown",
        "1 of 0 replicas; scaling to zero replicas",
    ),
    "scaling down": (
        world(running(), running(), wanted=1),
        "ScalingDown",
        "2 of 1 replica; replicas that are too many are leaving",
    ),
}


@pytest.mark.parametrize(("observed", "reason", "sentence"), CASES.values(), ids=CASES)
def test_a_pass_says_one_sentence(observed: Observed, reason: str, sentence: str) -> None:
    """Each state of the world has its reason and its sentence, and Ready shows the same."""
    desired = passed(observed)
    assert (desired.reason, desired.sentence) == (reason, sentence)
    ready = condition(desired, "Ready")
    assert (ready["reason"], ready["message"]) == (reason, sentence)
    assert ready["status"] == ("True" if reason in {"Serving", "Idle"} else "False")


@pytest.mark.parametrize(
    ("case", "reconciling", "stalled"),
    [
        ("serving", "False", "False"),
        ("idle", "False", "False"),
        ("loading", "True", "False"),
        ("one of two", "True", "False"),
        ("out of memory", "False", "True"),
        ("too late", "False", "True"),
        ("ready between two crashes", "False", "True"),
    ],
)
def test_gitops_tools_can_tell_progress_from_failure(
    case: str, reconciling: str, stalled: str
) -> None:
    """Reconciling while the cluster may still get there, Stalled when a person must act."""
    desired = passed(CASES[case][0])
    assert condition(desired, "Reconciling")["status"] == reconciling
    assert condition(desired, "Stalled")["status"] == stalled


def test_a_cause_that_passes_stalls_when_time_is_up() -> None:
    """What could have ended by itself is a failure once the rollout's deadline is over."""
    assert condition(passed(world(NO_GPU)), "Stalled")["status"] == "False"
    late = passed(world(NO_GPU, conditions=[LATE]))
    assert (late.reason, condition(late, "Stalled")["status"]) == ("Unschedulable", "True")


def test_the_deadline_of_a_past_version_is_not_held_against_the_new_one() -> None:
    """What the Deployment's controller said before it saw the present spec does not count."""
    stale = world(running(ready=False), conditions=[LATE], observedGeneration=0)
    assert passed(stale).reason == "StartingEngine"


def test_a_deployment_that_is_behind_is_not_serving() -> None:
    """Ready waits until the Deployment's controller has seen the spec that was applied."""
    assert passed(world(running(), observedGeneration=0)).reason == "Settling"


def test_pods_that_drain_are_not_nothing() -> None:
    """A model is idle only when its last pod has finished its requests and is gone."""
    tiny = model(scaling={"minReplicas": 0})
    draining = pod(tiny, running(), **GOING)
    assert (
        passed(seen(tiny, deployment(tiny, replicas=0), pods=(draining,))).reason == "ScalingDown"
    )


def test_a_deployment_that_was_not_scaled_yet_is_not_idle() -> None:
    """A Deployment that still asks for pods is not idle, even before they exist."""
    tiny = model(scaling={"maxReplicas": 0})
    deployed = deployment(tiny, replicas=1) | {"status": {}}
    assert passed(seen(tiny, deployed)).reason == "ScalingDown"


@pytest.mark.parametrize(
    ("lasted", "runs", "trusted"),
    [
        (60, 60, False),  # it crashed after a minute and came up a minute ago
        (60, 200, True),  # it has outlived the run that crashed, and three minutes
        (400, 200, False),  # it crashed after seven minutes: three prove nothing
        (400, 401, True),
        (3600, 10, True),  # an hour of service is no crash loop
    ],
)
def test_a_replica_is_trusted_once_it_outlives_its_crash(
    lasted: int, runs: int, *, trusted: bool
) -> None:
    """A replica that crashed twice is ready again when it runs longer than the run that crashed."""
    end = runs + 300
    crash = {"exitCode": 1, "startedAt": ago(seconds=end + lasted), "finishedAt": ago(seconds=end)}
    status = running(since=ago(seconds=runs), restartCount=2, lastState={"terminated": crash})
    assert passed(world(status)).reason == ("Serving" if trusted else "CrashLooping")


def test_one_restart_is_no_crash_loop() -> None:
    """A replica that crashed once serves again at once."""
    crash = {"exitCode": 1, "startedAt": ago(minutes=3), "finishedAt": ago(minutes=2)}
    once = running(since=ago(seconds=30), restartCount=1, lastState={"terminated": crash})
    assert passed(world(once)).reason == "Serving"


def test_an_eviction_is_told_until_another_pod_serves_or_it_is_history() -> None:
    """An evicted pod explains why the model does not serve; one of yesterday does not."""
    evicted = kubelet.lost("Evicted", "The node was low on resource: memory.")
    assert passed(world(running(ready=False), evicted)).reason == "Evicted"
    assert passed(world(running(), evicted, updatedReplicas=1, replicas=1)).reason == "Serving"
    history = evicted.replace("11:55", "01:55")
    assert passed(world(running(ready=False), history)).reason == "StartingEngine"
