"""Each way in which a pod can fail has one stable reason and a next action."""

import json

import pytest

from modelops.runtimes.engines import RUNTIMES
from modelops.sync.cause import Cause
from modelops.sync.diagnosis import diagnose
from modelops.sync.replica import Replica
from sync import kubelet
from sync.world import ago, model, pod, running

NOT_FOUND = (
    'Back-off pulling image "registry.example.com/nope:1": ErrImagePull: rpc error: code = NotFound'
    ' desc = failed to pull and unpack image "registry.example.com/nope:1": failed to resolve '
    "reference: registry.example.com/nope:1: not found"
)
GATED = {
    "reason": "WeightsForbidden",
    "message": "hf://meta-llama/Llama-3.1-8B is gated and no token was sent",
    "action": "accept its terms on the hub and set spec.model.secretRef",
}
UNREACHABLE = {
    "reason": "SourceUnreachable",
    "message": "https://huggingface.co does not answer",
    "action": "check that pods may reach it, or set spec.model.endpoint",
}
PREEMPTION = (
    " no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not "
    "helpful for scheduling."
)
STARTED_NOT = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: error during container init: exec: "
    '"nope": executable file not found in $PATH'
)
LOW = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. Container "
    "engine was using 3Gi, request is 2Gi, has larger consumption of memory. "
)


def failed_weights(message: str, code: int = 1) -> str:
    """Return the status of a pod whose weights container failed: `Init:Error`."""
    return kubelet.weights(
        f"""\
        state:
          terminated:
            exitCode: {code}
            reason: Error
            message: {json.dumps(message)}
            startedAt: "2026-01-01T11:59:00Z"
            finishedAt: "2026-01-01T11:59:01Z"
        lastState: {{}}
        """
    )


CASES = {
    "image of the weights container": (
        kubelet.weights(kubelet.waiting("ImagePullBackOff", NOT_FOUND)),
        "ImagePullFailed",
        "image registry.example.com/modelops:1 cannot be pulled",
    ),
    "image of the engine": (
        kubelet.engine(kubelet.waiting("ErrImagePull", "rpc error: code = Unknown desc = 401")),
        "ImagePullFailed",
        "image registry.example.com/vllm-cpu:1 cannot be pulled (rpc error",
    ),
    "name of the image": (
        kubelet.engine(
            kubelet.waiting("InvalidImageName", 'couldn\'t parse image name "a b": invalid format')
        ),
        "ImagePullFailed",
        "invalid format",
    ),
    "secret": (
        kubelet.weights(kubelet.waiting("CreateContainerConfigError", 'secret "hub" not found')),
        "SecretNotFound",
        "there is no Secret hub in the namespace: create it",
    ),
    "configmap": (
        kubelet.engine(kubelet.waiting("CreateContainerConfigError", 'configmap "t" not found')),
        "ConfigMapNotFound",
        "there is no ConfigMap t in the namespace",
    ),
    "user of the image": (
        kubelet.engine(
            kubelet.waiting(
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root (pod: x, container: engine)",
            )
        ),
        "ContainerRefused",
        "container engine cannot be started (container has runAsNonRoot",
    ),
    "command of the image": (
        kubelet.crashed(128, "StartError", STARTED_NOT, restarts=3),
        "ContainerRefused",
        "executable file not found in $PATH",
    ),
    "gated weights": (
        failed_weights(json.dumps(GATED)),
        "WeightsForbidden",
        "is gated and no token was sent: accept its terms",
    ),
    "weights that fail again and again": (
        kubelet.weights(
            f"""\
            state: {{waiting: {{reason: CrashLoopBackOff, message: "back-off 20s restarting"}}}}
            lastState:
              terminated: {{exitCode: 1, reason: Error, message: {json.dumps(json.dumps(GATED))}}}
            """,
            restarts=2,
        ),
        "WeightsForbidden",
        "set spec.model.secretRef",
    ),
    "source that does not answer": (
        failed_weights(json.dumps(UNREACHABLE)),
        "SourceUnreachable",
        "does not answer: check that pods may reach it",
    ),
    "weights container without last words": (
        failed_weights("Traceback (most recent call last):"),
        "WeightsFetchFailed",
        "ended with code 1 (Error): see `kubectl logs tiny-1 -c weights`",
    ),
    "weights container with a reason that is none": (
        failed_weights('{"reason": "no reason", "message": "a", "action": "b"}'),
        "WeightsFetchFailed",
        "ended with code 1",
    ),
    "no accelerator free": (
        kubelet.unscheduled(f"0/2 nodes are available: 2 Insufficient nvidia.com/gpu.{PREEMPTION}"),
        "Unschedulable",
        "no node fits (0/2 nodes are available: 2 Insufficient nvidia.com/gpu): add such a node",
    ),
    "no node of that product": (
        kubelet.unscheduled(
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. "
            "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
        ),
        "Unschedulable",
        "didn't match Pod's node affinity/selector): add",
    ),
    "claim without a volume": (
        kubelet.unscheduled(
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
            + PREEMPTION
        ),
        "ClaimPending",
        "has no volume yet: wait, or check",
    ),
    "claim that does not exist": (
        kubelet.unscheduled(
            f'0/2 nodes are available: persistentvolumeclaim "models" not found.{PREEMPTION}'
        ),
        "ClaimNotFound",
        "there is no PersistentVolumeClaim models in the namespace: create it",
    ),
    "queue before the scheduler": (
        kubelet.unscheduled(
            "Scheduling is blocked due to non-empty scheduling gates", "SchedulingGated"
        ),
        "SchedulingGated",
        "the pod waits in a queue",
    ),
    "memory": (
        kubelet.crashed(137, "OOMKilled", ""),
        "OutOfMemory",
        "was killed: raise spec.resources.memory",
    ),
    "memory of the accelerator": (
        kubelet.crashed(
            1,
            "Error",
            "INFO loading\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.\n"
            "RuntimeError: Engine core initialization failed. See root cause above.",
        ),
        "AcceleratorOutOfMemory",
        "(torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.): lower",
    ),
    "context beyond the model": (
        kubelet.crashed(
            1,
            "Error",
            "Value error, User-specified max_model_len (9) is greater than the derived "
            "max_model_len (8)",
        ),
        "ContextTooLong",
        "more than the model was made for",
    ),
    "argument": (
        kubelet.crashed(2, "Error", "api_server.py: error: unrecognized arguments: --nope"),
        "EngineArguments",
        "--nope): correct spec.runtime.args",
    ),
    "broken weights": (
        kubelet.crashed(1, "Error", "safetensors_rust.SafetensorError: header too large"),
        "WeightsUnreadable",
        "cannot be read as this model",
    ),
    "crash nobody foresaw": (
        kubelet.crashed(139, "Error", "line one\nSegmentation fault\n\n", restarts=4),
        "EngineCrashed",
        "ended with code 139 after 4 restarts (Segmentation fault): see `kubectl logs tiny-1",
    ),
    "crash without words, before the first restart": (
        kubelet.engine("state: {terminated: {exitCode: 1, reason: Error}}"),
        "EngineCrashed",
        "after 0 restarts (no last words)",
    ),
    "engine that just stops": (
        kubelet.crashed(0, "Completed", "bye", restarts=1),
        "EngineCrashed",
        "ended with code 0 after 1 restart (bye)",
    ),
    "sidecar": (
        kubelet.engine(
            "state: {running: {startedAt: '2026-01-01T11:59:00Z'}}",
            others="""\
            - name: proxy
              image: proxy:1
              restartCount: 3
              state: {waiting: {reason: CrashLoopBackOff}}
              lastState: {terminated: {exitCode: 3, reason: Error}}
            """,
        ),
        "ContainerCrashed",
        "container proxy ended with code 3",
    ),
    "eviction": (
        kubelet.lost("Evicted", LOW, "[{type: DisruptionTarget, status: 'True'}]"),
        "Evicted",
        "was evicted (The node was low on resource: memory.",
    ),
    "device plugin": (
        kubelet.lost(
            "UnexpectedAdmissionError",
            "Allocate failed due to no healthy devices present; cannot allocate unhealthy devices "
            "nvidia.com/gpu, which is unexpected",
        ),
        "PodRejected",
        "turned away by its node (UnexpectedAdmissionError: Allocate failed",
    ),
}


def told(status: str | dict, **meta: object) -> Cause | None:
    """Return the cause that is found in a pod with that status."""
    return diagnose(Replica(pod(model(), status, **meta)), RUNTIMES["vllm"])


@pytest.mark.parametrize(("status", "reason", "words"), CASES.values(), ids=CASES)
def test_a_pod_that_fails_tells_why_and_what_to_do(status: str, reason: str, words: str) -> None:
    """A failed pod has the reason of its cause, its own words, and a next action, in one line."""
    cause = told(status)
    assert cause is not None
    assert cause.reason == reason
    assert words in cause.sentence
    assert cause.action
    assert "\n" not in cause.sentence


@pytest.mark.parametrize(
    "case",
    ["no accelerator free", "claim without a volume", "source that does not answer", "eviction"],
)
def test_what_may_end_by_itself_is_passing(case: str) -> None:
    """Causes that a cluster can heal without a person are marked as such."""
    cause = told(CASES[case][0])
    assert cause is not None
    assert cause.passing


@pytest.mark.parametrize("case", ["gated weights", "secret", "memory", "argument"])
def test_what_needs_a_person_is_not_passing(case: str) -> None:
    """Causes that stay until a person acts are marked as such."""
    cause = told(CASES[case][0])
    assert cause is not None
    assert not cause.passing


HEALTHY = {
    "ready": running(),
    "loading": running(ready=False),
    "just created": {"phase": "Pending"},
    "no status yet": {},
    "starting its containers": kubelet.weights(kubelet.waiting("PodInitializing", "")),
    "fetching": kubelet.weights("state: {running: {startedAt: '2026-01-01T11:59:00Z'}}"),
    "ready again after a crash": running(
        restartCount=1, lastState={"terminated": {"exitCode": 1, "finishedAt": ago(hours=1)}}
    ),
}


@pytest.mark.parametrize("status", HEALTHY.values(), ids=HEALTHY)
def test_a_pod_on_its_way_has_no_cause(status: str | dict) -> None:
    """Nothing is wrong with a pod that serves or is about to."""
    assert told(status) is None


def test_a_pod_that_is_being_deleted_has_no_cause() -> None:
    """How a pod ends after it was told to go is nobody's failure."""
    assert told(CASES["memory"][0], deletionTimestamp=ago(seconds=5)) is None


def test_others_words_are_cut() -> None:
    """A cause carries a part of a long message: a condition stays readable."""
    cause = told(kubelet.crashed(1, "Error", "x" * 5000))
    assert cause is not None
    assert len(cause.sentence) < 500
