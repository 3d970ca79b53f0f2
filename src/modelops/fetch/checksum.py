"""Checksums of bytes as they pass."""

import base64
import hashlib
from typing import Protocol

from modelops.registry.address import Record


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Check:
    """Compares the bytes of a file, given piece by piece, with its record."""

    def __init__(self, record: Record) -> None:
        """Start before the first byte."""
        self._record = record
        self._hash = _hash(record)
        self._seen = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._seen += len(data)
        if self._hash:
            self._hash.update(data)

    @property
    def holds(self) -> bool:
        """Whether the bytes so far are the whole file and, as far as it can be told, right."""
        if self._seen != self._record.size:
            return False
        return not self._hash or self._hash.hexdigest() == self._record.checksum.partition(":")[2]


def from_base64(value: str) -> str:
    """Return the record's form of a sha256 that is given as base64."""
    return f"sha256:{base64.b64decode(value).hex()}"


def _hash(record: Record) -> _Hash | None:
    kind = record.checksum.partition(":")[0]
    if kind == "git":
        return hashlib.sha1(f"blob {record.size}\0".encode(), usedforsecurity=False)
    if kind == "md5":
        return hashlib.md5(usedforsecurity=False)
    return hashlib.sha256() if kind == "sha256" else None
