"""Records which packages go into the images: exact versions, with hashes."""

from e2e.cluster.shell import run, step
from e2e.images.machine import Places
from e2e.images.recipe import ROOT

PLATFORM = ("--python-version", "3.11", "--python-platform", "x86_64-unknown-linux-gnu")
SHAPE = ("--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate", "--quiet")
GPU_ONLY = (
    "cuda-bindings",
    "cuda-pathfinder",
    "cuda-toolkit",
    "nvidia-cublas",
    "nvidia-cuda-cupti",
    "nvidia-cuda-nvrtc",
    "nvidia-cudnn-cu13",
    "nvidia-cufft",
    "nvidia-cufile",
    "nvidia-curand",
    "nvidia-cusolver",
    "nvidia-cusparse",
    "nvidia-cusparselt-cu13",
    "nvidia-nccl-cu13",
    "nvidia-nvjitlink",
    "nvidia-nvshmem-cu13",
    "nvidia-nvtx",
    "triton",
)
"""What PyTorch asks for and a CPU never calls; nvidia-cuda-runtime stays: it finds no GPU."""

LOCKS = {
    "operator/requirements.txt": ("pyproject.toml",),
    "runtimes/envoy/requirements.txt": ("runtimes/envoy/requirements.in",),
    "runtimes/vllm/requirements.txt": (
        "runtimes/vllm/requirements.in",
        "--override",
        "runtimes/torch/requirements.in",
    ),
    "runtimes/llm-compressor/requirements.txt": (
        "runtimes/llm-compressor/requirements.in",
        "--override",
        "runtimes/torch/requirements.in",
    ),
    "runtimes/llama-cpp/builder/requirements.txt": (
        "runtimes/llama-cpp/builder/requirements.in",
        "--constraint",
        "runtimes/llm-compressor/requirements.txt",
    ),
    "runtimes/torch/requirements.txt": (
        "runtimes/torch/requirements.in",
        "--constraint",
        "runtimes/vllm/requirements.txt",
    ),
    "runtimes/onnx/requirements.txt": (
        "runtimes/onnx/requirements.in",
        "--constraint",
        "runtimes/torch/requirements.txt",
    ),
    "runtimes/ray-diffusers/requirements.txt": (
        "runtimes/ray-diffusers/requirements.in",
        "--constraint",
        "runtimes/torch/requirements.txt",
    ),
}
"""In this order: the engine is the narrower one, so the base takes the versions it chose."""


def lock(places: Places) -> None:
    """Writes each requirements file anew."""
    without = [word for name in GPU_ONLY for word in ("--no-emit-package", name)]
    for target, source in LOCKS.items():
        with step(f"lock {target}"):
            words = [str(ROOT / word) if "/" in word or "." in word else word for word in source]
            place = ("--output-file", ROOT / target)
            run(places.uv, "pip", "compile", *PLATFORM, *SHAPE, *without, *words, *place)
