"""Weights in a folder of this machine, read as a store is."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modelops.fetch.store import Listing
from modelops.registry.address import Record
from modelops.registry.failure import Failure

_BLOCK: Final = 1024 * 1024


class FolderStore:
    """The files below a folder; links are followed to files, never to folders."""

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet."""
        self._folder = folder

    def listing(self) -> Listing:
        """Return the files without a checksum. Raises Failure when there is no such folder."""
        if not self._folder.is_dir():
            what = "is a file" if self._folder.is_file() else "does not exist"
            raise Failure(
                "WeightsNotFound",
                f"the folder {self._folder} {what}",
                "name the folder that holds config.json and the weights; one file alone is read "
                "with --weights",
            )
        return Listing(tuple(self._records()))

    def summed(self, record: Record) -> Record:
        """Return the record as it is."""
        return record

    def read(self, record: Record, offset: int, count: int | None = None) -> Iterator[bytes]:
        """Yield the file's bytes from ``offset`` on, ``count`` of them."""
        left = record.size - offset if count is None else count
        with (self._folder / record.path).open("rb") as file:
            file.seek(offset)
            while left > 0 and (block := file.read(min(left, _BLOCK))):
                left -= len(block)
                yield block

    def _records(self) -> Iterator[Record]:
        for parent, folders, names in os.walk(self._folder):
            folders[:] = (name for name in folders if not name.startswith("."))
            for path in (Path(parent) / name for name in names):
                if path.is_file():
                    relative = path.relative_to(self._folder).as_posix()
                    yield Record(relative, path.stat().st_size)
