"""Brings files from a store into a snapshot: resumed, verified, several at once."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import stamina

from modelops.durable import PARTIAL
from modelops.fetch.cache import disk_failures, size_of
from modelops.fetch.checksum import Check
from modelops.fetch.events import Meter
from modelops.fetch.store import Patience, Store, Unreachable
from modelops.registry.address import Record
from modelops.registry.failure import Failure

T = TypeVar("T")
_BLOCK: Final = 1024 * 1024
_AT_ONCE: Final = 8


class _Mismatch(Exception):
    """The bytes of a file are not those of its record."""


class _Cancelled(Exception):
    """Another file failed, so this one is of no use."""


@dataclass(frozen=True)
class Transfer:
    """Fetches files of one store into one folder."""

    store: Store
    folder: Path
    meter: Meter
    patience: Patience
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def fetch_all(self, records: Iterable[Record]) -> None:
        """Fetch files, several at once, largest first.

        Raises the first Failure; what came of the others is kept for the next time.
        """
        largest_first = sorted(records, key=lambda record: -record.size)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            jobs = [pool.submit(self.fetch, record) for record in largest_first]
            done, waiting = wait(jobs, return_when=FIRST_EXCEPTION)
            if waiting:
                self._cancelled.set()
                pool.shutdown(cancel_futures=True)
        failures = [error for job in done if (error := job.exception())]
        if failures:
            raise failures[0]

    def fetch(self, record: Record) -> None:
        """Fetch one file; it gets its name when all its bytes are right and on disk.

        Raises Failure.
        """
        with disk_failures():
            target = self.folder / record.path
            if target.is_file() and target.stat().st_size == record.size:
                self.meter.add(record.size, record.path)
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            self._fetch_verified(record, target.with_name(target.name + PARTIAL))
            target.with_name(target.name + PARTIAL).replace(target)

    def _fetch_verified(self, record: Record, partial: Path) -> None:
        """Fetch into a partial file; one that was resumed and is wrong gets a second chance."""
        resumed = size_of(partial) > 0
        try:
            self._complete(record, partial)
        except _Mismatch as mismatch:
            self.meter.add(-size_of(partial), record.path)
            partial.unlink()
            if not resumed:
                raise _corrupt(record, mismatch) from mismatch
            self._fetch_verified(record, partial)

    def _complete(self, record: Record, partial: Path) -> None:
        with _open(partial) as file:
            check = self._recheck(record, file)
            patiently(self.patience, lambda: self._append_until_whole(record, file, check))
            if not check.holds:
                raise _Mismatch("its checksum differs")
            os.fsync(file.fileno())

    def _recheck(self, record: Record, file: BinaryIO) -> Check:
        """Compute the checksum of what an earlier run left."""
        check = Check(record)
        file.seek(0)
        while block := file.read(_BLOCK):
            check.update(block)
            self.meter.add(len(block), record.path)
        if file.tell() > record.size:
            raise _Mismatch("it is longer than the source says")
        return check

    def _append_until_whole(self, record: Record, file: BinaryIO, check: Check) -> None:
        """Append; a connection that breaks after some progress is simply opened again."""
        while (before := file.tell()) < record.size:
            try:
                self._append(record, file, check)
            except Unreachable:
                if file.tell() == before:
                    raise
            else:
                if file.tell() == before:
                    raise _Mismatch(f"the source ends it after {before} bytes")

    def _read(self, record: Record, offset: int) -> Iterator[bytes]:
        if not self._cancelled.is_set():
            for chunk in self.store.read(record, offset):
                yield chunk
                if self._cancelled.is_set():
                    break
        if self._cancelled.is_set():
            raise _Cancelled

    def _append(self, record: Record, file: BinaryIO, check: Check) -> None:
        for chunk in self._read(record, file.tell()):
            if file.tell() + len(chunk) > record.size:
                raise _Mismatch(f"the source sends more than its {record.size} bytes")
            file.write(chunk)
            check.update(chunk)
            self.meter.add(len(chunk), record.path)


def patiently(patience: Patience, act: Callable[[], T]) -> T:
    """Return what ``act`` returns; while it raises Unreachable, wait and try again."""
    for attempt in stamina.retry_context(
        on=Unreachable,
        attempts=patience.attempts,
        timeout=None,
        wait_initial=patience.first_wait_seconds,
        wait_max=patience.longest_wait_seconds,
    ):
        with attempt:
            return act()
    raise AssertionError


def _open(partial: Path) -> BinaryIO:
    """Open a partial file unbuffered, so that what is counted is what a killed process leaves."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    return os.fdopen(os.open(partial, flags, 0o644), "r+b", buffering=0)


def _corrupt(record: Record, mismatch: _Mismatch) -> Failure:
    return Failure(
        "WeightsCorrupt",
        f"{record.path} is not what the source's own record says: {mismatch}",
        "it is fetched again at the next attempt; if it fails again, upload the file anew",
    )
