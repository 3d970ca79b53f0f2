"""vLLM: an OpenAI-compatible server for language models, on GPU and on CPU."""

from typing import Final

from modelops.api.kinds.textmodel import TextModelSpec
from modelops.runtimes.runtime import Command, Hint, Runtime, Workload

_MODULE: Final = ("python3", "-m", "vllm.entrypoints.openai.api_server")
"""The module rather than `vllm serve`: the CPU build has no metadata named vllm."""


def command(workload: Workload) -> Command:
    """Return the command line of the OpenAI server for a TextModel."""
    return Command(args=(*_MODULE, *_args(workload)), env=_env(workload))


def _args(workload: Workload) -> tuple[str, ...]:
    model = workload.spec.model
    args = [
        f"--model={workload.weights_path}",
        f"--served-model-name={workload.served_name}",
        "--host=0.0.0.0",
        "--port=8000",
        "--disable-uvicorn-access-log",
        f"--shutdown-timeout={workload.spec.rollout.drain_seconds}",
    ]
    if model.formats == "SafetensorsOnly":
        args.append("--load-format=safetensors")
    if model.remote_code == "Allow":
        args.append("--trust-remote-code")
    return (*args, *_context(workload), *_device(workload))


def _context(workload: Workload) -> tuple[str, ...]:
    spec = workload.spec
    length = spec.text.context_length if isinstance(spec, TextModelSpec) else None
    return () if length is None else (f"--max-model-len={length}",)


def _device(workload: Workload) -> tuple[str, ...]:
    if workload.device == "cpu":
        return ("--enforce-eager", "--distributed-executor-backend=uni")
    return (f"--tensor-parallel-size={workload.accelerators}",) if workload.accelerators > 1 else ()


def _env(workload: Workload) -> dict[str, str]:
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    routed = {"VLLM_SKIP_MODEL_NAME_VALIDATION": "1"}  # a ModelRoute has names of its own
    return quiet | routed | (_cpu_env(workload) if workload.device == "cpu" else {})


def _cpu_env(workload: Workload) -> dict[str, str]:
    """Return what makes one process of the engine: on CPU that starts in half the time."""
    cpu = workload.spec.resources.cpu or ""
    threads = {"OMP_NUM_THREADS": cpu} if cpu.isdigit() and int(cpu) > 1 else {}
    return {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS": "1",
        **threads,
    }


HINTS: Final = (
    Hint(
        r"CUDA out of memory|torch\.OutOfMemoryError|No available memory for the cache blocks",
        "AcceleratorOutOfMemory",
        "the model does not fit into the accelerator's memory",
        "lower spec.text.contextLength, raise spec.resources.accelerator.count, or choose a "
        "larger accelerator",
    ),
    Hint(
        r"larger than the maximum number of tokens that can be stored in KV cache|"
        r"max seq len .* is larger than",
        "ContextTooLong",
        "the context does not fit into the memory left for the KV cache",
        "lower spec.text.contextLength",
    ),
    Hint(
        r"User-specified max_model_len .* is greater than the derived max_model_len",
        "ContextTooLong",
        "spec.text.contextLength is more than the model was made for",
        "lower spec.text.contextLength to what the model's config.json says",
    ),
    Hint(
        r"unrecognized arguments?: (?P<detail>.+)|error: argument (?P<detail2>.+)",
        "EngineArguments",
        "vLLM does not know an argument",
        "correct spec.runtime.args; `vllm serve --help` lists what this version takes",
    ),
    Hint(
        r"Model architectures .* (are not supported|failed to be inspected)|"
        r"does not recognize this architecture",
        "ModelUnsupported",
        "this version of vLLM does not know the model's architecture",
        "choose a newer spec.runtime.image or another model",
    ),
    Hint(
        r"trust_remote_code=True|contains custom code which must be executed",
        "RemoteCodeDenied",
        "the model brings Python code of its own",
        "read the code, then set spec.model.remoteCode: Allow if you trust it",
    ),
    Hint(
        r"SafetensorError|Error while deserializing header|size mismatch for|"
        r"There is no module or parameter named",
        "WeightsUnreadable",
        "the weight files cannot be read as this model",
        "check that the files belong together and are complete",
    ),
)

RUNTIME: Final = Runtime(
    name="vllm",
    description="vLLM's OpenAI server: chat, completions, responses, tokenize; GPU or CPU.",
    kinds=frozenset({"TextModel"}),
    images={"cpu": "vllm-cpu", "gpu": "vllm"},
    command=command,
    health_path="/health",
    formats=frozenset({"safetensors", "compressed-tensors"}),
    reserved_args=(
        "--model",
        "--served-model-name",
        "--host",
        "--port",
        "--shutdown-timeout",
        "--load-format",
        "--trust-remote-code",
        "--max-model-len",
        "--tensor-parallel-size",
        "--distributed-executor-backend",
        "-tp",
    ),
    cpu={"cpu": "500m", "gpu": "2"},
    memory={"cpu": "2Gi", "gpu": "8Gi"},
    hints=HINTS,
)
