"""Weights from a store over the network, by way of the cache."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

from modelops.fetch.cache import Cache, Pin, link
from modelops.fetch.events import Events, Meter
from modelops.fetch.inspect import check_headers, check_indexes
from modelops.fetch.order import Order
from modelops.fetch.store import Store, open_store
from modelops.registry.address import check_paths, digest
from modelops.registry.selection import Selection, select
from modelops.registry.uri import HubSource, S3Source

Remote = HubSource | S3Source
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What the source has, and the store to read it from."""

    store: Store
    selection: Selection
    revision: str | None

    @property
    def digest(self) -> str:
        return digest(self.selection.records)

    def artifact(self, uri: str) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "uri": uri,
            "revision": self.revision,
            "bytes": self.selection.size,
            "unverified": self.selection.unverified,
            "files": [
                {"path": r.path, "size": r.size, "checksum": r.checksum}
                for r in self.selection.records
            ],
        }


def provide(order: Order, source: Remote, events: Events) -> dict[str, Any]:
    """Link to a snapshot of the source, fetched unless the cache has it; return what it is.

    Raises Failure.
    """
    if order.cache is None:
        raise ValueError("fetched weights need --cache, the folder to keep them in")
    cache = Cache(order.cache)
    pin = _kept(order, cache)
    known = cache.artifact(pin.digest) if pin else None
    origin, artifact = (
        ("cache", known)
        if known
        else _fetched(order, cache, _resolve(order, source, cache), events)
    )
    link(order.link, cache.snapshot(artifact["digest"]))
    told = ("digest", "revision", "bytes", "unverified")
    return {"source": origin, **{key: artifact[key] for key in told}}


def _kept(order: Order, cache: Cache) -> Pin | None:
    """Return the earlier resolution of the same order."""
    pin = cache.pin(order.pin) if order.pin else None
    return pin if pin and pin.wanted == order.wanted else None


def _resolve(order: Order, source: Remote, cache: Cache) -> _Resolved:
    """Ask the source what it has. Of pods that start at once, the first decides for all."""
    with cache.lock(f"{order.pin}.pin") if order.pin else nullcontext():
        resolved = _ask(order, _at(source, order, _kept(order, cache)))
        if order.pin:
            cache.keep(order.pin, Pin(order.wanted, resolved.digest, resolved.revision))
    return resolved


def _at(source: Remote, order: Order, pin: Pin | None) -> Remote:
    """Return the source at the revision to take."""
    revision = (pin and pin.revision) or order.revision
    if isinstance(source, HubSource) and revision:
        return replace(source, revision=revision)
    return source


def _ask(order: Order, source: Remote) -> _Resolved:
    from modelops.fetch.transfer import patiently  # noqa: PLC0415 - slow to load

    store = open_store(source, order.endpoint, order.patience)
    listing = patiently(order.patience, store.listing)
    check_paths(listing.records)
    chosen = select(listing.records, order.formats, order.remote_code)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        summed = pool.map(
            lambda record: patiently(order.patience, lambda: store.summed(record)), chosen.records
        )
        known = dict(zip(chosen.records, summed, strict=True))
    return _Resolved(store, chosen.map(known.__getitem__), listing.revision)


def _fetched(
    order: Order, cache: Cache, resolved: _Resolved, events: Events
) -> tuple[str, Mapping[str, Any]]:
    """Return where a complete snapshot came from, and its artifact; one pod fetches for all."""
    with _turn(cache, resolved, events):
        known = cache.artifact(resolved.digest)
        if known:
            return "cache", known
        _download(order, cache, resolved, events)
        artifact = resolved.artifact(order.uri)
        cache.complete(resolved.digest, artifact)
        return "download", artifact


@contextmanager
def _turn(cache: Cache, resolved: _Resolved, events: Events) -> Iterator[None]:
    """Hold the snapshot's lock; while another pod holds it, tell how far that one is."""

    def read() -> Mapping[str, Any]:
        return {
            "event": "progress",
            "doneBytes": cache.present(resolved.digest),
            "totalBytes": resolved.selection.size,
            "file": "",
            "waitingFor": "another pod that fetches the same weights",
        }

    with cache.lock(resolved.digest, events.repeating(read)):
        yield


def _download(order: Order, cache: Cache, resolved: _Resolved, events: Events) -> None:
    from modelops.fetch.transfer import Transfer  # noqa: PLC0415 - slow to load

    chosen, folder = resolved.selection, cache.snapshot(resolved.digest)
    cache.make_room(chosen.size - cache.present(resolved.digest))
    meter = Meter(chosen.size)
    transfer = Transfer(resolved.store, folder, meter, order.patience)
    with events.repeating(meter.read):
        transfer.fetch_all(chosen.beside)
        check_indexes(folder, chosen)
        transfer.fetch_all(chosen.weights)
    check_headers(folder, chosen.weights)
