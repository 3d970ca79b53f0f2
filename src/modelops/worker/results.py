"""What jobs made, and what their finished stages left, put where it lasts."""

import asyncio
import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from modelops.jobs.engine import Output
from modelops.jobs.job import Job, Made
from modelops.jobs.store import Store, Unavailable

PATIENCE_SECONDS: Final = 60.0
"""So long a store that does not answer is asked again; then the job is tried again from the start
of its stage."""

_TYPES: Final = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "video/mp4": "mp4",
}
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Results:
    """The store of results, asked from a thread and more than once."""

    store: Store
    patience: float = PATIENCE_SECONDS

    async def keep(self, job: Job, output: Output, folder: Path) -> Made:
        """Store a file that the engine made; raises Unavailable, ValueError for a foreign one."""
        path = _within(folder, output.path)
        suffix = _TYPES.get(output.content_type, "bin")
        key = f"{job.order.id}/{job.attempt}-{output.index}.{suffix}"
        place = await self._asked(lambda: self.store.upload(path, key, output.content_type))
        return Made(
            place=place,
            content_type=output.content_type,
            bytes=path.stat().st_size,
            seed=output.seed,
            width=output.width,
            height=output.height,
            flagged=output.flagged,
        )

    async def checkpoint(self, job: Job, stage: str, folder: Path, made: Iterable[str]) -> str:
        """Store what a finished stage left; return the stage, or nothing if it left nothing."""
        left = _left(folder, {Path(each).name for each in made})
        for path in left:
            key = f"{_stage(job, stage)}/{path.relative_to(folder)}"
            await self._asked(partial(self.store.upload, path, key, "application/octet-stream"))
        return stage if left else ""

    async def restore(self, job: Job, folder: Path) -> None:
        """Put what the last finished stage left back into the folder."""
        await self._asked(lambda: self._restore(_stage(job, job.resume), folder))

    def _restore(self, prefix: str, folder: Path) -> None:
        for place in self.store.places(prefix + "/"):
            name = PurePosixPath(place.partition(f"/{prefix}/")[2])
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for chunk in self.store.chunks(place):
                    file.write(chunk)

    async def clean(self, job: Job) -> None:
        """Take away what stages left, and what the caller gave: nobody needs it any more."""
        for what in ("stages", "in"):
            await asyncio.to_thread(self.store.remove, f"{job.order.id}/{what}/")

    async def _asked(self, work: Callable[[], Found]) -> Found:
        end = asyncio.get_running_loop().time() + self.patience
        pause = 0.2
        while True:
            try:
                return await asyncio.to_thread(work)
            except Unavailable:
                if asyncio.get_running_loop().time() + pause > end:
                    raise
            await asyncio.sleep(pause)
            pause = min(5.0, 2 * pause)


def _left(folder: Path, made: Collection[str]) -> list[Path]:
    """Return the files of a folder that are neither inputs nor results."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name not in made)
    return [path for path in found if not path.name.startswith("in-")]


def forget(folder: Path) -> None:
    """Take a job's folder away."""
    shutil.rmtree(folder, ignore_errors=True)


def _stage(job: Job, stage: str) -> str:
    plain = "".join(c if c.isalnum() else "-" for c in stage)
    return f"{job.order.id}/stages/{plain}"


def _within(folder: Path, said: str) -> Path:
    path = Path(said).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ValueError(f"the engine tells of a file that is not in {folder}: {said}")
    return path
