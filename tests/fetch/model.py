"""Makes small models on disk, and hash values to compare with."""

import hashlib
import json
from pathlib import Path
from random import Random


def safetensors(size: int, seed: int = 0) -> bytes:
    """Return a safetensors file with one tensor of ``size`` random bytes."""
    tensor = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"t": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + Random(seed).randbytes(size)  # noqa: S311 - reproducible


def files(*sizes: int) -> dict[str, bytes]:
    """Return a sharded model with weights of these sizes, and what lies beside them."""
    count = len(sizes)
    shards = {
        f"model-{i:05}-of-{count:05}.safetensors": safetensors(size, seed=i)
        for i, size in enumerate(sizes, start=1)
    }
    index = json.dumps({"weight_map": {f"t{i}": name for i, name in enumerate(shards)}})
    beside = {
        "config.json": b'{"model_type": "llama"}',
        "tokenizer/tokenizer.json": b"{}",
        "model.safetensors.index.json": index.encode(),
    }
    return {**shards, **beside}


def write(folder: Path, content: dict[str, bytes]) -> Path:
    """Write files below a folder and return it."""
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder, artifact.json left out."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "artifact.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def sums(content: dict[str, bytes]) -> bytes:
    """Return what ``sha256sum`` prints for these files."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in content.items())
    return "".join(lines).encode()
