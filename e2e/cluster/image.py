"""Images made of a few static files: no base, no builder."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ScratchImage:
    """An image whose root file system is exactly `files` (path inside -> file on this machine)."""

    name: str
    files: Mapping[str, Path]
    entrypoint: tuple[str, ...]
    environment: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)


def archive(image: ScratchImage) -> bytes:
    """The image as a docker-archive tar, equal bytes for equal files."""
    layer = _tar({path: file.read_bytes() for path, file in image.files.items()}, image.links)
    layer_digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": {"Entrypoint": list(image.entrypoint), "Env": list(image.environment)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }
    encoded = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    layer_name = f"{layer_digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [image.name], "Layers": [layer_name]}]
    parts = {
        config_name: encoded,
        layer_name: layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    return _tar(parts, {})


def _tar(files: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
        for name, target in links.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(entry)
    return buffer.getvalue()
