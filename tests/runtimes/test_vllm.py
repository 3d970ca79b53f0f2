"""How vLLM is run, and what its last words mean."""

import re
from typing import Any

import pytest

from modelops.api.kinds.textmodel import TextModelSpec
from modelops.runtimes.engines.vllm import HINTS, RUNTIME, command
from modelops.runtimes.runtime import Device, Workload

BASE = (
    "python3 -m vllm.entrypoints.openai.api_server --model=/weights/model "
    "--served-model-name=tiny --host=0.0.0.0 --port=8000 --disable-uvicorn-access-log "
    "--shutdown-timeout=60"
)
CASES: dict[str, tuple[dict[str, Any], Device, int, str]] = {
    "on CPU": (
        {},
        "cpu",
        0,
        "--load-format=safetensors --enforce-eager --distributed-executor-backend=uni",
    ),
    "on one GPU": ({}, "gpu", 1, "--load-format=safetensors"),
    "on four GPUs": ({}, "gpu", 4, "--load-format=safetensors --tensor-parallel-size=4"),
    "pickle": ({"model": {"formats": "AllowPickle"}}, "gpu", 1, ""),
    "remote code": (
        {"model": {"remoteCode": "Allow"}},
        "gpu",
        1,
        "--load-format=safetensors --trust-remote-code",
    ),
    "context": (
        {"text": {"contextLength": 4096}},
        "gpu",
        1,
        "--load-format=safetensors --max-model-len=4096",
    ),
}
WORDS = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.": (
        "AcceleratorOutOfMemory"
    ),
    "ValueError: No available memory for the cache blocks. Try increasing "
    "`gpu_memory_utilization`": "AcceleratorOutOfMemory",
    "ValueError: The model's max seq len (40960) is larger than the maximum number of tokens that "
    "can be stored in KV cache (17712).": "ContextTooLong",
    "api_server.py: error: unrecognized arguments: --max-modl-len=9": "EngineArguments",
    "api_server.py: error: argument --dtype: invalid choice: 'int3'": "EngineArguments",
    "ValueError: Model architectures ['FooForCausalLM'] are not supported for now.": (
        "ModelUnsupported"
    ),
    "ValueError: The repository /weights/model contains custom code which must be executed to "
    "correctly load the model.": "RemoteCodeDenied",
    "safetensors_rust.SafetensorError: Error while deserializing header: header too large": (
        "WeightsUnreadable"
    ),
}


def workload(spec: dict[str, Any], device: Device, accelerators: int) -> Workload:
    """Return what vLLM is asked to serve."""
    model = {"uri": "pvc://models/tiny", **spec.get("model", {})}
    parsed = TextModelSpec.model_validate({**spec, "model": model})
    return Workload(parsed, "tiny", "/weights/model", device, accelerators)


@pytest.mark.parametrize(("spec", "device", "count", "more"), CASES.values(), ids=CASES)
def test_the_command_line_follows_from_the_spec(
    spec: dict[str, Any], device: Device, count: int, more: str
) -> None:
    """Each field of the spec that vLLM knows becomes its flag."""
    assert " ".join(command(workload(spec, device, count)).args) == f"{BASE} {more}".strip()


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_engine_asks_nobody(device: Device) -> None:
    """The engine never reaches for the hub and reports to no one."""
    env = command(workload({}, device, 1)).env
    assert env["HF_HUB_OFFLINE"] == "1"
    assert env["VLLM_NO_USAGE_STATS"] == "1"


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_engine_answers_to_the_names_of_routes(device: Device) -> None:
    """The gateway decides which name leads to a model: the engine takes every one."""
    assert command(workload({}, device, 1)).env["VLLM_SKIP_MODEL_NAME_VALIDATION"] == "1"


def test_flags_that_are_set_cannot_be_given_twice() -> None:
    """Every flag that follows from the spec is reserved, except those that are harmless."""
    everything = {
        "model": {"remoteCode": "Allow"},
        "text": {"contextLength": 1},
    }
    args = command(workload(everything, "gpu", 2)).args[3:]
    flags = {arg.split("=")[0] for arg in args} - {"--disable-uvicorn-access-log"}
    assert flags <= set(RUNTIME.reserved_args)


@pytest.mark.parametrize(("line", "reason"), WORDS.items())
def test_last_words_have_a_meaning(line: str, reason: str) -> None:
    """The first hint that matches vLLM's words has the right reason."""
    assert next(h.reason for h in HINTS if re.search(h.pattern, line)) == reason


@pytest.mark.parametrize(
    ("cpu", "threads"), [("8", "8"), ("500m", None), ("1", None), (None, None)]
)
def test_whole_cpus_are_the_engines_threads(cpu: str | None, threads: str | None) -> None:
    """An engine on CPU runs as many threads as CPUs were asked for, if more than one was."""
    spec = {"resources": {"cpu": cpu}} if cpu else {}
    assert command(workload(spec, "cpu", 0)).env.get("OMP_NUM_THREADS") == threads
