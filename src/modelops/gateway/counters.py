"""What Envoy has counted: read from its admin port, and what was added since the last time."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from httpx2 import AsyncClient

from modelops.gateway.usage import COUNTERS_PATH, SCOPE

SECONDS: Final = 5.0
"""An Envoy that has not answered within this time is given up."""

_VALUE: Final = r'"((?:[^"\\]|\\.)*)"'
_LINE: Final = re.compile(
    rf"^envoy_{SCOPE}_(\w+)\{{tenant={_VALUE},key={_VALUE},model={_VALUE},path={_VALUE}\}} (\d+)$",
    re.MULTILINE,
)
_ESCAPED: Final = re.compile(r"\\(.)")


class Series(NamedTuple):
    """One count: its name, and whose it is; model is empty where a request reached none.

    Names are `requests`, `input_tokens` and `output_tokens` for answers that tell their usage;
    `uncounted_requests`, `uncounted_bytes_received` and `uncounted_bytes_sent` for those that do
    not, and for callers who went away; `failed_requests` for errors, be they ours or an engine's.
    """

    name: str
    tenant: str
    key: str
    model: str
    path: str


def parse(text: str) -> dict[Series, int]:
    """Return the counts in a text of Envoy's, in Prometheus' format."""
    return {
        Series(name, *map(_plain, labels)): int(count)
        for name, *labels, count in _LINE.findall(text)
    }


def _plain(value: str) -> str:
    if "\\" not in value:
        return value
    return _ESCAPED.sub(lambda found: {"n": "\n"}.get(found[1], found[1]), value)


def growth(before: Mapping[Series, int], now: Mapping[Series, int]) -> dict[Series, int]:
    """Return what has been added between two readings.

    A count that is smaller than it was started again at zero: Envoy forgets those that rest, and
    all of them when it restarts.
    """
    added = {
        series: count - before.get(series, 0) if count >= before.get(series, 0) else count
        for series, count in now.items()
    }
    return {series: count for series, count in added.items() if count}


async def read(envoy: AsyncClient) -> dict[Series, int]:
    """Return what Envoy has counted until now; `envoy` is a client of its admin port.

    Raise httpx2.HTTPError when it does not answer.
    """
    answer = await envoy.get(COUNTERS_PATH, timeout=SECONDS)
    return parse(answer.raise_for_status().text)
