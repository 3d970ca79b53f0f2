"""What each image is made of, and the key that names its content."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import rust

ROOT = Path(__file__).parents[2]
DEBIAN_SUITE = "bookworm"
DEBIAN_PACKAGES = ("ca-certificates", "python3")
UV_VERSION = "0.13.9"
KEY_DIGITS = 16
BUILDING = (
    "src/modelops/__init__.py",
    "src/modelops/builders",
    "src/modelops/building",
    "src/modelops/durable.py",
    "src/modelops/registry",
)
"""What of the platform's code every builder's image holds."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image: its Containerfile, the folder it sees, the files it copies and its base.

    A `layered` one keeps each step as a layer, so that a change of its last inputs costs little.
    """

    name: str
    containerfile: str
    context: str
    inputs: tuple[str, ...] = ()
    base: str | None = None
    facts: tuple[str, ...] = ()
    layered: bool = False

    def files(self, root: Path) -> Iterator[Path]:
        """The Containerfile and each file it copies, sorted, without compiled Python."""
        yield root / self.containerfile
        for name in self.inputs:
            yield from _walk(root / name)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="debian",
            containerfile="runtimes/debian/Containerfile",
            context="runtimes/debian",
            facts=(DEBIAN_SUITE, *DEBIAN_PACKAGES),
        ),
        Recipe(
            name="modelops",
            containerfile="operator/Containerfile",
            context=".",
            inputs=(
                "README.md",
                "operator/main.py",
                "operator/requirements.txt",
                "pyproject.toml",
                "src",
            ),
            base="debian",
            facts=(UV_VERSION,),
            layered=True,
        ),
        Recipe(
            name="envoy",
            containerfile="runtimes/envoy/Containerfile",
            context="runtimes/envoy",
            inputs=(
                "runtimes/envoy/drain.py",
                "runtimes/envoy/requirements.txt",
                "runtimes/envoy/start.py",
            ),
            base="debian",
            facts=(UV_VERSION, rust.source()),
        ),
        Recipe(
            name="redis",
            containerfile="runtimes/redis/Containerfile",
            context="runtimes/redis",
            base="debian",
        ),
        Recipe(
            name="torch-base",
            containerfile="runtimes/torch/Containerfile",
            context="runtimes/torch",
            inputs=("runtimes/torch/absent_cuda.py", "runtimes/torch/requirements.txt"),
            base="debian",
            facts=(UV_VERSION,),
        ),
        Recipe(
            name="vllm-cpu",
            containerfile="runtimes/vllm/Containerfile",
            context="runtimes/vllm",
            inputs=(
                "runtimes/vllm/model_infos.py",
                "runtimes/vllm/requirements.txt",
                "runtimes/vllm/sitecustomize.py",
            ),
            base="torch-base",
            facts=(UV_VERSION,),
        ),
        Recipe(
            name="ray-diffusers-cpu",
            containerfile="runtimes/ray-diffusers/Containerfile",
            context="runtimes/ray-diffusers",
            inputs=(
                "runtimes/ray-diffusers/diffusion",
                "runtimes/ray-diffusers/requirements.txt",
            ),
            base="torch-base",
            facts=(UV_VERSION,),
            layered=True,
        ),
        Recipe(
            name="diffusers-builder",
            containerfile="runtimes/diffusers-builder/Containerfile",
            context=".",
            inputs=(
                "runtimes/diffusers-builder/judge.py",
                "runtimes/diffusers-builder/quantize.py",
                "runtimes/diffusers-builder/similarity.py",
                "runtimes/diffusers-builder/tool.py",
                *BUILDING,
            ),
            base="ray-diffusers-cpu",
            layered=True,
        ),
        Recipe(
            name="onnx-builder",
            containerfile="runtimes/onnx/Containerfile",
            context=".",
            inputs=(
                "runtimes/onnx/export.py",
                "runtimes/onnx/inputs.py",
                "runtimes/onnx/judge.py",
                "runtimes/onnx/requirements.txt",
                "runtimes/onnx/tool.py",
                *BUILDING,
            ),
            base="torch-base",
            facts=(UV_VERSION,),
            layered=True,
        ),
        Recipe(
            name="llm-compressor",
            containerfile="runtimes/llm-compressor/Containerfile",
            context=".",
            inputs=(
                "runtimes/llm-compressor/judge.py",
                "runtimes/llm-compressor/kept.py",
                "runtimes/llm-compressor/quantize.py",
                "runtimes/llm-compressor/requirements.txt",
                "runtimes/llm-compressor/tool.py",
                *BUILDING,
            ),
            base="torch-base",
            facts=(UV_VERSION,),
            layered=True,
        ),
        Recipe(
            name="llama-cpp",
            containerfile="runtimes/llama-cpp/Containerfile",
            context="runtimes/llama-cpp",
            inputs=("runtimes/llama-cpp/install.sh", "runtimes/llama-cpp/serve.py"),
            base="debian",
        ),
        Recipe(
            name="llama-cpp-builder",
            containerfile="runtimes/llama-cpp/builder/Containerfile",
            context=".",
            inputs=(
                "runtimes/llama-cpp/builder/convert.py",
                "runtimes/llama-cpp/builder/judge.py",
                "runtimes/llama-cpp/builder/quantize.py",
                "runtimes/llama-cpp/builder/requirements.txt",
                "runtimes/llama-cpp/install.sh",
            ),
            base="llm-compressor",
            facts=(UV_VERSION,),
            layered=True,
        ),
    )
}
PUSHED = (
    "modelops",
    "envoy",
    "redis",
    "vllm-cpu",
    "ray-diffusers-cpu",
    "llm-compressor",
    "diffusers-builder",
    "onnx-builder",
    "llama-cpp",
    "llama-cpp-builder",
)
"""What a cluster runs; the others are only bases."""


def lineage(name: str) -> list[Recipe]:
    """The recipe `name` with its bases before it."""
    recipe = RECIPES[name]
    return [*(lineage(recipe.base) if recipe.base else []), recipe]


def key(name: str, root: Path = ROOT) -> str:
    """A digest of everything the image `name` is made of: equal keys, equal images."""
    digest = hashlib.sha256()
    for recipe in lineage(name):
        for part in _parts(recipe, root):
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:KEY_DIGITS]


def _parts(recipe: Recipe, root: Path) -> Iterator[bytes]:
    yield from (fact.encode() for fact in (recipe.name, *recipe.facts))
    for path in recipe.files(root):
        yield str(path.relative_to(root)).encode()
        yield path.read_bytes()


def _walk(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
