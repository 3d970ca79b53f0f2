"""The cache on disk: snapshots by content, locks, pinned resolutions."""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from modelops.durable import sync_folder, write_whole
from modelops.registry.failure import Failure
from modelops.registry.selection import ARTIFACT

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Pin:
    """A resolution that is kept: what was asked for (``wanted``) and what it was then."""

    wanted: str
    digest: str
    revision: str | None


class Cache:
    """A folder that pods share."""

    def __init__(self, root: Path) -> None:
        """Make the folders. Raises Failure (CacheUnusable)."""
        self._root = root
        with disk_failures():
            for name in ("snapshots", "locks", "refs"):
                (root / name).mkdir(parents=True, exist_ok=True)

    def snapshot(self, digest: str) -> Path:
        """Return the folder of a snapshot, complete or not."""
        return self._root / "snapshots" / digest

    def artifact(self, digest: str) -> Mapping[str, Any] | None:
        """Return what is known of a complete snapshot; None if it is not complete."""
        try:
            known = json.loads((self.snapshot(digest) / ARTIFACT).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return known if isinstance(known, dict) else None

    def complete(self, digest: str, artifact: Mapping[str, Any]) -> None:
        """Declare a snapshot complete; all its files must be on disk by now."""
        folder = self.snapshot(digest)
        with disk_failures():
            for parent in {folder, *(path.parent for path in folder.rglob("*"))}:
                sync_folder(parent)
            write_whole(folder / ARTIFACT, json.dumps(artifact, indent=1))

    def pin(self, name: str) -> Pin | None:
        """Return the resolution that is kept under a name."""
        try:
            return Pin(**json.loads((self._root / "refs" / name).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def keep(self, name: str, pin: Pin) -> None:
        """Keep a resolution under a name."""
        with disk_failures():
            write_whole(self._root / "refs" / name, json.dumps(asdict(pin)))

    @contextmanager
    def lock(
        self, name: str, meanwhile: AbstractContextManager[None] | None = None
    ) -> Iterator[None]:
        """Hold a lock that spans processes, containers and nodes; the kernel frees it.

        ``meanwhile`` is entered while another process holds it.
        """
        with disk_failures():
            file = (self._root / "locks" / name).open("a")
        with file:
            with disk_failures(), meanwhile or nullcontext():
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def make_room(self, needed: int) -> None:
        """See to it that ``needed`` more bytes fit. Raises Failure (CacheFull).

        Removed for it are only snapshots that nobody completed and nobody is at work on.
        """
        if needed > shutil.disk_usage(self._root).free:
            self._sweep()
        free = shutil.disk_usage(self._root).free
        if needed > free:
            raise full(f"the weights need {needed} bytes more and the cache has {free} bytes free")

    def _sweep(self) -> None:
        for snapshot in (self._root / "snapshots").iterdir():
            with (self._root / "locks" / snapshot.name).open("a") as file:
                if not self.artifact(snapshot.name) and _locked(file):
                    shutil.rmtree(snapshot)

    def present(self, digest: str) -> int:
        """Return how many bytes of a snapshot are on disk."""
        files = self.snapshot(digest).rglob("*")
        return sum(size_of(path) for path in files if path.name != ARTIFACT and path.is_file())


def _locked(file: IO[str]) -> bool:
    """Tell whether the lock could be had at once."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def full(message: str) -> Failure:
    """Return the failure of a cache without room."""
    return Failure(
        "CacheFull", message, "raise spec.cache.size to fit them, or give the claim more room"
    )


@contextmanager
def disk_failures() -> Iterator[None]:
    """Tell of a cache that is full or cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise full("the cache has no room left") from error
        raise Failure(
            "CacheUnusable",
            f"the cache cannot be written ({error})",
            "give the cache a volume that group 10001 may write, with locks if it is shared",
        ) from error


def link(path: Path, target: Path) -> None:
    """Let ``path`` be a link to ``target``, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)


def size_of(path: Path) -> int:
    """Return a file's bytes, 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
