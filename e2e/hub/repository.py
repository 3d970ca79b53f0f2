"""Folders that are served as repositories."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

_SETTINGS = ".hub.json"
_LARGE = (".safetensors", ".bin", ".pt", ".gguf", ".model", ".onnx", ".h5", ".msgpack")


@dataclass(frozen=True)
class Entry:
    """One file of a repository; large files are kept the way Git LFS does."""

    path: str
    file: Path
    lies: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.file.stat().st_size

    @property
    def sha256(self) -> str | None:
        """Digest of the content if it is kept with Git LFS."""
        return self._hash("sha256", "") if self.path.endswith(_LARGE) else None

    @property
    def blob_id(self) -> str:
        """Git's id of the file, or of the pointer that stands for it."""
        if not self.sha256:
            return self._hash("sha1", f"blob {self.size}\0")
        pointer = f"version https://git-lfs\noid sha256:{self.sha256}\nsize {self.size}\n"
        blob = f"blob {len(pointer)}\0{pointer}".encode()
        return hashlib.sha1(blob, usedforsecurity=False).hexdigest()

    @property
    def etag(self) -> str:
        """What the hub sends as the file's ETag."""
        return self.sha256 or self.blob_id

    def describe(self, *, blobs: bool) -> dict[str, Any]:
        """Return the entry as the API tells it."""
        if not blobs:
            return {"rfilename": self.path}
        large = {"sha256": self.sha256, "size": self.size, "pointerSize": 134}
        return {
            "rfilename": self.path,
            "size": self.size,
            "blobId": self.blob_id,
            **({"lfs": large} if self.sha256 else {}),
            **self.lies,
        }

    def leaf(self) -> dict[str, Any]:
        """Return the entry as the API tells it in a tree."""
        large = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return {
            "type": "file",
            "path": self.path,
            "size": self.size,
            "oid": self.blob_id,
            **({"lfs": large} if self.sha256 else {}),
        }

    def _hash(self, kind: str, prefix: str) -> str:
        state = self.file.stat()
        return _hash(self.file, kind, prefix, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1024)
def _hash(file: Path, kind: str, prefix: str, _size: int, _mtime: int) -> str:
    digest = hashlib.new(kind, prefix.encode())
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class Repository:
    """One state of one repository: the folder OWNER/NAME, or OWNER/NAME@REVISION.

    A file ``.hub.json`` in it may set ``access`` to ``gated`` or ``private``, and in ``lies`` what
    shall be told of a file, by path, instead of the truth: ``rfilename``, ``size``.
    """

    name: str
    folder: Path

    @classmethod
    def find(cls, root: Path, name: str, revision: str = "main") -> "Repository | None":
        """Return the repository at a branch, tag or commit."""
        owner, _, short = name.partition("/")
        named = root / owner / (short if revision == "main" else f"{short}@{revision}")
        if named.is_dir():
            return cls(name, named)
        states = [root / owner / short, *(root / owner).glob(f"{short}@*")]
        found = (cls(name, state) for state in states if state.is_dir())
        return next((each for each in found if each.commit == revision), None)

    @property
    def access(self) -> str:
        """Who may read: public, gated, private."""
        return str(self._settings.get("access", "public"))

    @property
    def entries(self) -> list[Entry]:
        """All files, by path."""
        files = (file for file in self.folder.rglob("*") if file.is_file())
        lies = self._settings.get("lies", {})
        paths = ((file.relative_to(self.folder).as_posix(), file) for file in files)
        named = (Entry(path, file, lies.get(path, {})) for path, file in paths)
        return sorted((e for e in named if e.path != _SETTINGS), key=lambda e: e.path)

    @property
    def _settings(self) -> dict[str, Any]:
        file = self.folder / _SETTINGS
        return dict(json.loads(file.read_text())) if file.exists() else {}

    @property
    def commit(self) -> str:
        """The commit's id; it changes with any file."""
        state = [[entry.path, entry.blob_id] for entry in self.entries]
        told = json.dumps([self.name, state]).encode()
        return hashlib.sha1(told, usedforsecurity=False).hexdigest()

    def entry(self, path: str) -> Entry | None:
        """Return one file."""
        return next((entry for entry in self.entries if entry.path == path), None)

    def describe(self, *, blobs: bool) -> dict[str, Any]:
        """Return the repository as the API tells it."""
        return {
            "_id": self.commit[:24],
            "id": self.name,
            "modelId": self.name,
            "author": self.name.partition("/")[0],
            "sha": self.commit,
            "private": self.access == "private",
            "gated": "manual" if self.access == "gated" else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [entry.describe(blobs=blobs) for entry in self.entries],
        }
