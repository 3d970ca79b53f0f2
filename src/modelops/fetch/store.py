"""Where weights are fetched from: the seam between the fetch and the network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from modelops.registry.address import Record
from modelops.registry.failure import Failure
from modelops.registry.uri import ClaimSource, HubSource, Source


class Unreachable(Failure):
    """The source does not answer, or not as it should; trying again can help."""

    def __init__(self, message: str, action: str | None = None) -> None:
        """Keep the cause; without an action the usual suspects are named."""
        usual = "check that the source is up and that pods can reach it, and spec.model.endpoint"
        super().__init__("SourceUnreachable", message, action or usual)


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a source; ``revision`` names this state where the source has such names."""

    records: tuple[Record, ...]
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to bear with a source."""

    connect_seconds: float = 5
    """A source that does not take a connection for this long is tried again."""
    stall_seconds: float = 30
    """A source that sends nothing for this long is asked again."""
    attempts: int = 4
    """Times that are tried without any progress."""
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 10


class Store(Protocol):
    """A place that holds the files of a model.

    All methods raise Failure when the source refuses and Unreachable when it does not answer.
    """

    def listing(self) -> Listing:
        """Return all files that there are."""

    def summed(self, record: Record) -> Record:
        """Return the record with the best checksum that the source knows of the file."""

    def read(self, record: Record, offset: int, count: int | None = None) -> Iterator[bytes]:
        """Yield the file's bytes from ``offset`` on; a broken connection may end them early.

        With a ``count`` no more than that many are asked for; a source may send more.
        """


def byte_range(offset: int, count: int | None) -> dict[str, str]:
    """Return the HTTP header that asks for ``count`` bytes from ``offset`` on, none for all."""
    if count:
        return {"Range": f"bytes={offset}-{offset + count - 1}"}
    return {"Range": f"bytes={offset}-"} if offset else {}


def open_store(source: Source, endpoint: str | None, patience: Patience) -> Store:
    """Return the store of a source. The clients are imported late: they are slow to load."""
    if isinstance(source, HubSource):
        from modelops.fetch.hub import HubStore  # noqa: PLC0415 - slow to load

        return HubStore(source, endpoint, patience)
    if isinstance(source, ClaimSource):
        raise TypeError("the weights on a claim are served in place")
    from modelops.fetch.s3 import S3Store  # noqa: PLC0415 - slow to load

    return S3Store(source, endpoint, patience)
