"""What a job works on: fetched from where its caller says, looked at, and put beside the engine."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientError, ClientResponse

from modelops.jobs.job import Code, Problem
from modelops.jobs.outside import Forbidden, Outside
from modelops.jobs.picture import HEAD, NoPicture, Picture, picture
from modelops.jobs.store import Store, Unavailable


class Unusable(Exception):
    """A job cannot be done with what its caller gave."""

    def __init__(self, code: str, message: str, *, retriable: bool = False) -> None:
        """Say why."""
        super().__init__(message)
        self.problem = Problem(code, message, retriable)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files of callers: at most so many bytes, and pixels once they are decoded."""

    outside: Outside
    store: Store
    largest: int
    most_pixels: int

    async def fetch(self, role: str, source: str, folder: Path) -> Path:
        """Return where the file now is; raises Unusable."""
        path = folder / f"in-{role}"
        if source.startswith("s3://"):
            await asyncio.to_thread(self._copy, source, path)
        else:
            await self._download(role, source, path)
        found = self._look(role, path)
        return path.rename(path.with_suffix("." + found.content_type.partition("/")[2]))

    def _copy(self, place: str, path: Path) -> None:
        try:
            _write(path, self.store.chunks(place))
        except Unavailable as error:
            raise Unusable(Code.STORAGE, str(error), retriable=True) from error

    async def _download(self, role: str, url: str, path: Path) -> None:
        try:
            async with self.outside.get(url) as answer:
                await self._receive(role, answer, path)
        except Forbidden as error:
            raise Unusable(
                Code.INPUT_REFUSED, f"The URL of `{role}` is refused: {error}"
            ) from error
        except (ClientError, TimeoutError, OSError) as error:
            # The cause is not told: callers shall not learn what can be reached from here.
            said = f"The URL of `{role}` cannot be fetched."
            raise Unusable(Code.INPUT_UNREACHABLE, said, retriable=True) from error

    async def _receive(self, role: str, answer: ClientResponse, path: Path) -> None:
        if answer.status != 200:
            retriable = answer.status >= 500 or answer.status == 429
            said = f"The URL of `{role}` answers with status {answer.status}."
            raise Unusable(Code.INPUT_UNREACHABLE, said, retriable=retriable)
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise Unusable(Code.INPUT_REFUSED, f"The file of `{role}` is sent compressed.")
        with path.open("wb") as file:
            async for chunk in self._bounded(role, answer):
                file.write(chunk)

    async def _bounded(self, role: str, answer: ClientResponse) -> AsyncIterator[bytes]:
        left = self.largest
        async for chunk in answer.content.iter_chunked(64 * 1024):
            left -= len(chunk)
            if left < 0:
                said = f"The file of `{role}` has more than {self.largest} bytes."
                raise Unusable(Code.INPUT_REFUSED, said)
            yield chunk

    def _look(self, role: str, path: Path) -> Picture:
        with path.open("rb") as file:
            head = file.read(HEAD)
        try:
            found = picture(head)
        except NoPicture as error:
            raise Unusable(Code.INPUT_REFUSED, f"The file of `{role}`: {error}.") from error
        if found.pixels > self.most_pixels:
            said = f"The picture of `{role}` has more than {self.most_pixels} pixels."
            raise Unusable(Code.INPUT_REFUSED, said)
        return found


def _write(path: Path, chunks: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
