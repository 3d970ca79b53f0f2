"""The content address of a model: what its files are, whatever they are called elsewhere."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from modelops.registry.failure import Failure

_LONGEST_PART: Final = 255 - len(".partial")
VERIFIABLE: Final = ("sha256", "git", "md5")
"""The kinds of checksum that can be computed from a file's bytes."""


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """What a source says of one file.

    ``path`` is relative, with slashes; ``size`` is in bytes; ``checksum`` is KIND:VALUE with a kind
    of ``VERIFIABLE``, or any other text that changes with the content, or empty.
    """

    path: str
    size: int
    checksum: str = ""

    @property
    def verifiable(self) -> bool:
        """Whether the checksum can be computed from the file's bytes."""
        return self.checksum.partition(":")[0] in VERIFIABLE

    def summed(self, checksum: str) -> "Record":
        """Return the same file with another checksum."""
        return replace(self, checksum=checksum)


def digest(records: Iterable[Record]) -> str:
    """Return the content address, as hex: the sha256 of the sorted records."""
    address = hashlib.sha256()
    for record in sorted(records):
        line = json.dumps([record.path, record.size, record.checksum])
        address.update(line.encode() + b"\n")
    return address.hexdigest()


def check_paths(records: Iterable[Record]) -> None:
    """Check that the files can be stored below one folder, each as itself.

    Raises Failure (WeightsCorrupt) on a path that leads out of the folder, one that is given twice,
    or one that is a file and a folder at once.
    """
    seen: set[str] = set()
    folders: set[str] = set()
    for record in records:
        if record.size < 0 or not _plain(record.path):
            raise _hostile(record.path, "cannot be stored")
        if record.path in seen:
            raise _hostile(record.path, "is listed twice")
        seen.add(record.path)
        folders.update(_parents(record.path))
    for path in sorted(seen & folders):
        raise _hostile(path, "is listed as a file and as a folder")


def _plain(path: str) -> bool:
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and all(map(_plain_part, parts))


def _plain_part(part: str) -> bool:
    fits = len(part.encode(errors="replace")) <= _LONGEST_PART
    return fits and part not in {"", ".", ".."}


def _parents(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:length]) for length in range(1, len(parts))}


def _hostile(path: str, fault: str) -> Failure:
    return Failure(
        "WeightsCorrupt",
        f"the source lists a file {path!r} that {fault}",
        "do not use this source; if it is yours, rename the file",
    )
