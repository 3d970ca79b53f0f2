"""Puts a model's weights where the engine reads them."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from modelops.fetch import remote
from modelops.fetch.cache import link
from modelops.fetch.events import Events
from modelops.fetch.order import Order
from modelops.registry.address import digest
from modelops.registry.failure import Failure
from modelops.registry.uri import URI_HELP, ClaimSource, Source, parse_uri


def work(
    order: Order, events: Events, clock: Callable[[], float] = time.monotonic
) -> Mapping[str, Any]:
    """Put the weights in place and return the ``done`` event.

    Raises Failure when they cannot be had; what was fetched by then is kept for the next time.
    """
    begin = clock()
    source = _source(order.uri)
    if isinstance(source, ClaimSource):
        done = _in_place(order, source)
    else:
        done = remote.provide(order, source, events)
    return {"event": "done", **done, "seconds": round(clock() - begin, 3)}


def _source(uri: str) -> Source:
    try:
        return parse_uri(uri)
    except ValueError as error:
        raise Failure("WeightsNotFound", f"{uri!r} is not a model URI", URI_HELP) from error


def _in_place(order: Order, source: ClaimSource) -> dict[str, Any]:
    from modelops.fetch.claim import survey  # noqa: PLC0415 - slow to load

    if order.claim is None:
        raise ValueError("a claim's weights need --source, the path where the claim is mounted")
    folder, found = survey(source, order.claim, order.formats, order.remote_code)
    link(order.link, folder)
    known = {} if found.unverified else {"digest": digest(found.records)}
    return {"source": "claim", **known, "bytes": found.size, "unverified": found.unverified}
