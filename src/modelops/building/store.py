"""The folder that keeps artifacts: each complete as a whole, or not there."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final

from modelops.building.broken import Broken
from modelops.durable import PARTIAL, sync_folder, write_whole

MANIFEST: Final = "artifact.json"
_SUMS: Final = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Work:
    """Where one artifact is made, below a folder that is not whole yet.

    ``making`` is what the tool writes, ``made`` what it finished, ``kept`` what its next run finds
    if it is killed, ``scratch`` what nobody keeps.
    """

    folder: Path

    @property
    def making(self) -> Path:
        """The folder that the tool writes into."""
        return self.folder / "making"

    @property
    def made(self) -> Path:
        """The folder of what the tool finished: it becomes the artifact."""
        return self.folder / "made"

    @property
    def kept(self) -> Path:
        """The folder of what a tool that was killed had finished of its stage."""
        return self.folder / "kept"

    @property
    def scratch(self) -> Path:
        """The folder of what is of no use once the work is done."""
        return self.folder / "scratch"

    @property
    def measured(self) -> Path:
        """The file of what was measured, once it was."""
        return self.folder / "measured.json"

    @property
    def facts(self) -> Path:
        """The file of what the tool said of itself when it was done."""
        return self.folder / "facts.json"

    def begin(self) -> None:
        """Make the folders; what a run that was killed left half done is removed."""
        self.kept.mkdir(parents=True, exist_ok=True)
        for folder in (self.making, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    def finish(self) -> None:
        """Let what the tool wrote be what it finished."""
        self.making.rename(self.made)
        sync_folder(self.folder)
        shutil.rmtree(self.kept)


class Store:
    """A folder of artifacts by their digest, which several pods may share."""

    def __init__(self, root: Path) -> None:
        """Make the folders. Raises Broken (StoreUnusable)."""
        self.root = root
        with disk_troubles():
            (root / ".locks").mkdir(parents=True, exist_ok=True)

    def artifact(self, address: str) -> Path:
        """Return the folder of an artifact, whether it is there or not."""
        return self.root / address

    def work(self, address: str) -> Work:
        """Return where an artifact is made."""
        return Work(self.root / f"{address}{PARTIAL}")

    @property
    def free(self) -> int:
        """Bytes that are free."""
        return shutil.disk_usage(self.root).free

    @contextmanager
    def lock(self, address: str, wait: Callable[[], None]) -> Iterator[IO[str]]:
        """Hold an artifact's lock, which spans processes, containers and nodes.

        ``wait`` is called before waiting for another. Who inherits the open file holds it too:
        a tool that outlives its parent is waited for.
        """
        with disk_troubles():
            file = (self.root / ".locks" / address).open("a")
        with file:
            if not _locked(file):
                wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    @contextmanager
    def try_lock(self, address: str) -> Iterator[bool]:
        """Hold an artifact's lock if nobody else does; yields whether it is held."""
        with (self.root / ".locks" / address).open("a") as file:
            yield _locked(file)

    def complete(self, address: str) -> Mapping[str, Any] | None:
        """Return the manifest of an artifact whose files are all as it says, else None.

        What claims to be complete and is not is removed.
        """
        folder = self.artifact(address)
        if not folder.is_dir():
            return None
        manifest = _manifest(folder)
        if manifest is not None and _holds(folder, manifest):
            shutil.rmtree(self.work(address).folder, ignore_errors=True)
            return manifest
        with disk_troubles():
            shutil.rmtree(folder)
        return None

    def seal(self, address: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Declare what was made complete: its manifest last, then its name. Returns the manifest.

        ``document`` is what else the manifest tells.
        """
        work = self.work(address)
        with disk_troubles():
            for name in (MANIFEST, f"{MANIFEST}{PARTIAL}"):  # of a run that was killed here
                (work.made / name).unlink(missing_ok=True)
            files = _listed(work.made)
            manifest = {**document, "bytes": sum(e["bytes"] for e in files), "files": files}
            for parent in sorted({p.parent for p in work.made.rglob("*")} | {work.made}):
                sync_folder(parent)
            write_whole(work.made / MANIFEST, json.dumps(manifest, indent=1))
            work.made.rename(self.artifact(address))
            sync_folder(self.root)
            shutil.rmtree(work.folder)
        return manifest


@contextmanager
def disk_troubles() -> Iterator[None]:
    """Tell of a store that is full or cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise disk_full("the artifact store has no room left") from error
        raise Broken(
            "StoreUnusable",
            f"the artifact store cannot be written ({error})",
            "give the store a volume that group 10001 may write, with locks if it is shared",
        ) from error


def disk_full(message: str) -> Broken:
    """Return the failure of a store without room."""
    return Broken(
        "DiskFull", message, "give the store's claim more room, or remove artifacts of no use"
    )


def size(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in _files(folder))


def _locked(file: IO[str]) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _holds(folder: Path, manifest: Mapping[str, Any]) -> bool:
    listed = {entry["path"]: entry for entry in manifest.get("files", ())}
    there = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    there.pop(MANIFEST, None)
    if not listed or there.keys() != listed.keys():
        return False
    same_size = all(path.stat().st_size == listed[name]["bytes"] for name, path in there.items())
    return same_size and all(_sum(path) == listed[name]["sha256"] for name, path in there.items())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    name = path.relative_to(folder).as_posix()
    return {"path": name, "bytes": path.stat().st_size, "sha256": _sum(path)}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed(folder: Path) -> list[dict[str, Any]]:
    """Return an entry of each file, having written the list that a loader holds them against.

    Each is read once: an artifact may have hundreds of gigabytes.
    """
    paths = (path for path in _files(folder) if path.name not in {_SUMS, MANIFEST})
    entries = [_entry(folder, path) for path in paths]
    lines = (f"{entry['sha256']}  {entry['path']}\n" for entry in entries)
    (folder / _SUMS).write_text("".join(lines))
    return sorted([*entries, _entry(folder, folder / _SUMS)], key=itemgetter("path"))
