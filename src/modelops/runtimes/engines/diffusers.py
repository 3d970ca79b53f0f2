"""diffusers on Ray Serve: pictures, on GPU and on CPU, fed by jobs."""

from collections.abc import Iterator
from typing import Final

from modelops.api.kinds.diffusionmodel import DiffusionModelSpec, Image
from modelops.api.parts import ServingSpec
from modelops.runtimes.runtime import Command, Hint, Runtime, Workload

_FOLDERS: Final = {
    "--loras": "loras",
    "--control-nets": "control-nets",
    "--ip-adapter": "ip-adapter",
}
"""What lies beside the pipeline's own parts, in the same source, by the flag that names it."""


def command(workload: Workload) -> Command:
    """Return the command line of the engine for a DiffusionModel."""
    return Command(args=("python3", "-m", "diffusion", *_args(workload)), env=_env(workload))


def _args(workload: Workload) -> Iterator[str]:
    image = _image(workload.spec)
    yield f"--model={workload.weights_path}"
    yield f"--served-model-name={workload.served_name}"
    yield f"--device={'cpu' if workload.device == 'cpu' else 'cuda'}"
    yield f"--drain-seconds={workload.spec.rollout.drain_seconds}"
    yield f"--safety={image.safety}"
    yield from (f"{flag}={workload.weights_path}/{name}" for flag, name in _FOLDERS.items())
    yield from (f"--{name}={value}" for name, value in _numbers(image) if value is not None)
    yield from _savings(image)


def _numbers(image: Image) -> Iterator[tuple[str, object]]:
    usual, limits = image.defaults, image.limits
    guidance = usual.guidance_tenths
    yield "width", usual.width
    yield "height", usual.height
    yield "steps", usual.steps
    yield "guidance", None if guidance is None else guidance / 10
    yield "scheduler", usual.scheduler
    yield "max-width", limits.max_width
    yield "max-height", limits.max_height
    yield "max-steps", limits.max_steps
    yield "max-images", limits.max_images
    yield "batch", image.batching.max_images
    yield "batch-wait-milliseconds", image.batching.wait_milliseconds or None


def _savings(image: Image) -> Iterator[str]:
    if image.quantization != "None":
        yield f"--quantization={image.quantization}"
    if image.memory.offload != "None":
        yield f"--offload={image.memory.offload}"
    if image.memory.tiling == "On":
        yield "--tile"
    if image.compilation == "On":
        yield "--compile"


def _env(workload: Workload) -> dict[str, str]:
    cpu = workload.spec.resources.cpu or ""
    threads = {"OMP_NUM_THREADS": cpu} if cpu.isdigit() else {}
    return {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", **threads}


def _image(spec: ServingSpec) -> Image:
    return spec.image if isinstance(spec, DiffusionModelSpec) else Image()


def jobs(spec: ServingSpec) -> int:
    """Return how many jobs the engine takes at a time: those that may go together."""
    return _image(spec).batching.max_images


HINTS: Final = (
    Hint(
        r"CUDA out of memory|torch\.OutOfMemoryError",
        "AcceleratorOutOfMemory",
        "the model does not fit into the accelerator's memory",
        "set spec.image.quantization or spec.image.memory.offload, or choose a larger accelerator",
    ),
    Hint(
        r"can't allocate memory|MemoryError",
        "OutOfMemory",
        "the model does not fit into the memory of its container",
        "raise spec.resources.memory",
    ),
    Hint(
        r"has no safety checker of its own",
        "SafetyCheckerMissing",
        "the model comes without a safety checker",
        "put one into the folder safety_checker of its weights, or set spec.image.safety: Off if "
        "you trust who asks",
    ),
    Hint(
        r"(?P<what>compile|offload) needs a GPU",
        "NeedsAccelerator",
        "what the spec asks for cannot be done on a CPU",
        "remove spec.image.compilation and spec.image.memory.offload, or give the model an "
        "accelerator",
    ),
    Hint(
        r"the weights are quantized already",
        "AlreadyQuantized",
        "the weights were made smaller before they came here",
        "remove spec.image.quantization",
    ),
    Hint(
        r"the default (width|height|steps) .* is more than the limit|"
        r"the default width and height must be multiples",
        "ImageDefaults",
        "what a request takes by default is not possible for this model",
        "correct spec.image.defaults and spec.image.limits",
    ),
    Hint(
        r"it is no diffusers model|no file named model_index\.json",
        "ModelUnsupported",
        "the weights are no diffusers pipeline",
        "name a source whose top folder holds model_index.json",
    ),
    Hint(
        r"module diffusers has no attribute|Pipeline .* is not (known|supported)",
        "ModelUnsupported",
        "this version of diffusers does not know the model's pipeline",
        "choose a newer spec.runtime.image or another model",
    ),
    Hint(
        r"SafetensorError|Error while deserializing header|size mismatch for|"
        r"no file named .*\.safetensors found|No such file or directory: .*\.safetensors",
        "WeightsUnreadable",
        "the weight files cannot be read as this model",
        "check that the files belong together and are complete",
    ),
    Hint(
        r"The current node timed out during startup",
        "EngineStarting",
        "Ray's processes did not come up in time",
        "wait for the next try, or raise spec.resources.cpu",
    ),
)

RUNTIME: Final = Runtime(
    name="diffusers",
    description="diffusers on Ray Serve: text to picture, picture to picture, inpainting, "
    "ControlNet, LoRA, IP-Adapter; GPU or CPU.",
    kinds=frozenset({"DiffusionModel"}),
    images={"cpu": "ray-diffusers-cpu", "gpu": "ray-diffusers"},
    command=command,
    health_path="/ready",
    formats=frozenset({"safetensors", "diffusers"}),
    api_path="",
    reserved_args=(
        *("--model", "--served-model-name", "--host", "--port", "--device", "--scratch"),
        *("--drain-seconds", "--safety", *_FOLDERS, "--width", "--height", "--steps"),
        *("--guidance", "--scheduler", "--max-width", "--max-height", "--max-steps"),
        *("--max-images", "--batch", "--batch-wait-milliseconds", "--quantization"),
        *("--offload", "--tile", "--compile"),
    ),
    cpu={"cpu": "1", "gpu": "2"},
    memory={"cpu": "4Gi", "gpu": "16Gi"},
    hints=HINTS,
    jobs=jobs,
)
