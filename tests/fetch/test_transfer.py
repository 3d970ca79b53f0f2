"""Laws of bringing one file from any store, however it behaves."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from fetch.conftest import QUICK
from modelops.fetch.events import Events, Meter
from modelops.fetch.store import Listing, Unreachable
from modelops.fetch.transfer import Transfer
from modelops.registry.address import Record
from modelops.registry.failure import Failure

CONTENT = bytes(range(256)) * 3
RECORD = Record("a/file", len(CONTENT), f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")

Fault = Literal["break", "end", "flip", "more"]


@dataclass
class Unsteady:
    """A store that goes wrong as planned, one reading after the other, and then is honest."""

    plan: list[tuple[int, Fault]]
    sent: int = 0
    offsets: list[int] = field(default_factory=list)

    def listing(self) -> Listing:
        """Return the only file."""
        return Listing((RECORD,))

    def summed(self, record: Record) -> Record:
        """Return the record as it is."""
        return record

    def read(self, record: Record, offset: int) -> Iterator[bytes]:
        """Yield what the plan says."""
        del record
        self.offsets.append(offset)
        size, fault = self.plan.pop(0) if self.plan else (len(CONTENT), "end")
        data = CONTENT[offset : offset + size]
        self.sent += len(data)
        yield bytes(b ^ 1 for b in data) if fault == "flip" else data
        if fault == "more":
            yield b"!" * len(CONTENT)
        if fault == "break":
            raise Unreachable("the connection broke")


def outcome(transfer: Transfer) -> str | None:
    """Fetch the file and return why that failed, if it did."""
    try:
        transfer.fetch(RECORD)
    except Failure as failure:
        return failure.reason
    return None


_SIZES = st.integers(0, len(CONTENT))
_LIES: st.SearchStrategy[Fault] = st.sampled_from(["break", "end", "flip", "more"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_SIZES, _LIES), max_size=6), st.binary(max_size=900))
def test_a_file_is_right_or_not_there(plan: list[tuple[int, Fault]], left: bytes) -> None:
    """Whatever a store sends and an earlier run left, a file that has its name is the file."""
    with TemporaryDirectory() as folder:
        target = Path(folder, RECORD.path)
        target.parent.mkdir()
        target.with_name("file.partial").write_bytes(left)
        meter = Meter(len(CONTENT))
        reason = outcome(Transfer(Unsteady(list(plan)), Path(folder), meter, QUICK))
        assert reason in {None, "WeightsCorrupt", "SourceUnreachable"}
        assert target.exists() == (reason is None)
        if not reason:
            assert target.read_bytes() == CONTENT
            assert not target.with_name("file.partial").exists()
            assert meter.read()["doneBytes"] == len(CONTENT)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 200), max_size=20))
def test_breaks_cost_no_byte_twice(sizes: list[int]) -> None:
    """As long as each connection brings something, a file comes whole and each byte once."""
    store = Unsteady([(size, "break") for size in sizes])
    with TemporaryDirectory() as folder:
        Transfer(store, Path(folder), Meter(0), QUICK).fetch(RECORD)
        assert Path(folder, RECORD.path).read_bytes() == CONTENT
    assert store.sent == len(CONTENT)
    assert store.offsets == sorted(set(store.offsets))


@given(st.text(), st.text())
def test_last_words_fit(message: str, action: str) -> None:
    """However long a cause is, the kubelet keeps all of it, and it can be read back."""
    failure = Failure("WeightsCorrupt", message * 500, action * 500)
    told = {"reason": failure.reason, "message": failure.message, "action": failure.action}
    with TemporaryDirectory() as folder:
        words = Path(folder, "termination-log")
        words.touch()
        Events(io.StringIO(), words).end(told)
        assert words.stat().st_size < 4096
        assert json.loads(words.read_bytes()).keys() == told.keys()
