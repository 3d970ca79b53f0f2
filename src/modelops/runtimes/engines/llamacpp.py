"""llama.cpp: an OpenAI-compatible server for language models in GGUF, on CPU."""

from typing import Final

from modelops.api.kinds.textmodel import TextModelSpec
from modelops.runtimes.runtime import Command, Hint, Runtime, Workload

SLOTS: Final = 4
"""Requests that are computed together; the others wait."""

_SERVE: Final = ("python3", "/opt/llama/serve.py")


def command(workload: Workload) -> Command:
    """Return the command line of llama-server, which finds the one GGUF file of the weights."""
    args = (
        *_SERVE,
        workload.weights_path,
        f"--alias={workload.served_name}",
        "--host=0.0.0.0",
        "--port=8000",
        "--metrics",
        "--no-ui",
        "--offline",
        f"--parallel={SLOTS}",
        *_context(workload),
        *_threads(workload),
    )
    return Command(args=args, env={})


def _context(workload: Workload) -> tuple[str, ...]:
    """Each slot has a context of the length asked for; else they share one of the model's own."""
    spec = workload.spec
    length = spec.text.context_length if isinstance(spec, TextModelSpec) else None
    if length is None:
        return ("--ctx-size=0", "--kv-unified")
    return (f"--ctx-size={length * SLOTS}", "--no-kv-unified")


def _threads(workload: Workload) -> tuple[str, ...]:
    cpu = workload.spec.resources.cpu or ""
    return (f"--threads={cpu}",) if cpu.isdigit() and int(cpu) else ()


HINTS: Final = (
    Hint(
        r"the weights hold (?P<detail>.+); give",
        "WeightsUnreadable",
        "the weights are not exactly one model in GGUF",
        "give a source with one GGUF file, or set spec.quantization.method to GGUF",
    ),
    Hint(
        r"unknown model architecture",
        "ModelUnsupported",
        "this version of llama.cpp does not know the model's architecture",
        "choose a newer spec.runtime.image or another model",
    ),
    Hint(
        r"failed to allocate (buffer|compute)|unable to allocate|failed to create context",
        "OutOfMemory",
        "the model and its contexts do not fit into the container's memory",
        "lower spec.text.contextLength, or raise spec.resources.memory",
    ),
    Hint(
        r"error: invalid argument: (?P<detail>.+)|error while handling argument",
        "EngineArguments",
        "llama-server does not know an argument",
        "correct spec.runtime.args; `llama-server --help` lists what this version takes",
    ),
    Hint(
        r"invalid magic characters|tensor .* data is not within the file bounds|"
        r"failed to read (key|tensor)",
        "WeightsUnreadable",
        "the GGUF file is damaged, or none",
        "upload the file to the source anew",
    ),
)

RUNTIME: Final = Runtime(
    name="llama-cpp",
    description="llama.cpp's OpenAI server for GGUF: chat, completions, tokenize; CPU.",
    kinds=frozenset({"TextModel"}),
    images={"cpu": "llama-cpp"},
    command=command,
    health_path="/health",
    formats=frozenset({"gguf"}),
    reserved_args=(
        "--model",
        "-m",
        "--alias",
        "-a",
        "--host",
        "--port",
        "--metrics",
        "--parallel",
        "-np",
        "--ctx-size",
        "-c",
        "--kv-unified",
        "--no-kv-unified",
    ),
    cpu={"cpu": "500m"},
    memory={"cpu": "1Gi"},
    hints=HINTS,
)
