"""What Envoy has counted: read from its admin port, and what was added since the last time."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Final, NamedTuple

from httpx2 import AsyncClient

from modelops.gateway.usage import COUNTERS_PATH, SCOPE

SECONDS: Final = 5.0
"""An Envoy that has not answered within this time is given up."""

PIECE: Final = 64 * 1024
"""Bytes that are read at a time: others wait for no longer than that takes."""

_VALUE: Final = r'"((?:[^"\\]|\\.)*)"'
_PREFIX: Final = f"envoy_{SCOPE}_".encode()
_WORDS: Final = re.compile(
    rf"envoy_{SCOPE}_(\w+)\{{tenant={_VALUE},key={_VALUE},model={_VALUE},path={_VALUE}\}}"
)
_ESCAPED: Final = re.compile(r"\\(.)")


Counts = dict[bytes, int]
"""Counts by what Envoy calls them: the name and the labels, as it writes them."""


class Series(NamedTuple):
    """One count: its name, and whose it is; model is empty where a request reached none.

    Names are `requests`, `input_tokens` and `output_tokens` for answers that tell their usage;
    `estimated_requests`, `estimated_input_tokens` and `estimated_output_tokens` for
    streams that do not, such as those that their callers left; `uncounted_requests`,
    `uncounted_bytes_received` and `uncounted_bytes_sent` for other answers that do not, and for
    callers who went away before; `failed_requests` for errors, be they ours or an engine's.
    """

    name: str
    tenant: str
    key: str
    model: str
    path: str


def parse(lines: Iterable[bytes]) -> Counts:
    """Return the counts in lines of Envoy's, in Prometheus' format."""
    parted = (line.rpartition(b" ") for line in lines if line.startswith(_PREFIX))
    return {words: int(count) for words, _, count in parted if count.isdigit()}


def _series(words: bytes) -> Series | None:
    found = _WORDS.fullmatch(words.decode(errors="replace"))
    return Series(found[1], *map(_plain, found.groups()[1:])) if found else None


def _plain(value: str) -> str:
    if "\\" not in value:
        return value
    return _ESCAPED.sub(lambda found: {"n": "\n"}.get(found[1], found[1]), value)


def added(before: int, now: int) -> int:
    """Return what was added to a count; one that is smaller than it was began again at zero."""
    return now - before if now >= before else now


def growth(before: Mapping[bytes, int], now: Mapping[bytes, int]) -> dict[Series, int]:
    """Return what has been added between two readings.

    Envoy forgets counts that rest, and all of them when it restarts. Words are looked into only
    where something was added.
    """
    found: dict[Series, int] = {}
    for words, count in now.items():
        more = added(before.get(words, 0), count)
        if more and (series := _series(words)):
            found[series] = found.get(series, 0) + more
    return found


async def read(envoy: AsyncClient) -> AsyncGenerator[Counts, None]:
    """Yield what Envoy has counted until now, in pieces; `envoy` is a client of its admin port.

    Others get their turn between two pieces, however much there is. Raise httpx2.HTTPError when it
    does not answer.
    """
    async with envoy.stream("GET", COUNTERS_PATH, timeout=SECONDS) as answer:
        answer.raise_for_status()
        rest = b""
        async for piece in answer.aiter_bytes(PIECE):
            *lines, rest = (rest + piece).split(b"\n")
            yield parse(lines)
            await asyncio.sleep(0)
        yield parse([rest])
