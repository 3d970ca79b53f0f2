"""Laws of sources that break, lie or stall."""

import time
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from e2e.hub.server import Body, Hub
from fetch.conftest import Place
from fetch.model import read
from modelops.registry.failure import Failure

Serve = Callable[..., Hub]
SHARD = "model-00001-of-00002.safetensors"


def only(path: str, change: Callable[[Iterator[bytes]], Iterator[bytes]]) -> Body:
    """Return what changes the bytes of one file."""
    return lambda name, chunks: change(chunks) if name == path else chunks


def flipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Change the first byte of each chunk."""
    return (bytes([chunk[0] ^ 1]) + chunk[1:] for chunk in chunks)


def test_corrupted(serve: Serve, place: Place, content: dict[str, bytes]) -> None:
    """Wrong bytes are WeightsCorrupt, nothing of them is kept, and the next attempt is clean."""
    hub = serve(only(SHARD, flipped))
    with pytest.raises(Failure, match=SHARD) as caught:
        place.fetch(endpoint=hub.url)
    assert caught.value.reason == "WeightsCorrupt"
    assert not list(place.cache.rglob(f"{SHARD}*"))
    assert not place.model.exists()
    hub.body = lambda _, chunks: chunks
    place.fetch(endpoint=hub.url)
    assert read(place.model) == content


def test_corrupted_beside(serve: Serve, place: Place) -> None:
    """Small files are verified as well, by git's own id."""
    with pytest.raises(Failure, match=r"config\.json") as caught:
        place.fetch(endpoint=serve(only("config.json", flipped)).url)
    assert caught.value.reason == "WeightsCorrupt"


def test_a_bad_partial_file_gets_a_second_chance(
    serve: Serve, place: Place, content: dict[str, bytes]
) -> None:
    """What a broken disk left behind is fetched anew in the same run."""
    with pytest.raises(Failure):
        place.fetch(endpoint=serve(only(SHARD, lambda _: iter(()))).url)
    snapshot = next(place.cache.glob("snapshots/*"))
    (snapshot / f"{SHARD}.partial").write_bytes(b"rubbish")
    place.fetch(endpoint=serve().url)
    assert read(place.model) == content


def test_broken_connections_are_resumed(
    serve: Serve, place: Place, content: dict[str, bytes]
) -> None:
    """A server that breaks off after each chunk costs more requests but no byte twice."""
    hub = serve(lambda _, chunks: islice(chunks, 1))
    place.fetch(endpoint=hub.url)
    assert read(place.model) == content
    assert hub.sent("") == sum(map(len, content.values()))
    assert hub.requests(SHARD) > 1


def test_too_few_bytes(serve: Serve, place: Place) -> None:
    """A file that ends early, always, is given up after the last attempt."""
    with pytest.raises(Failure) as caught:
        place.fetch(endpoint=serve(only(SHARD, lambda _: iter(()))).url)
    assert caught.value.reason == "SourceUnreachable"


def test_a_stalled_server_is_left(serve: Serve, place: Place, content: dict[str, bytes]) -> None:
    """A server that sends nothing for a while is asked again for the rest."""
    stalled = []

    def stall_once(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)
        if not stalled:
            stalled.append(True)
            time.sleep(3)
        yield from chunks

    begin = time.monotonic()
    place.fetch(endpoint=serve(only(SHARD, stall_once)).url)
    assert read(place.model) == content
    assert time.monotonic() - begin < 2.5


def test_a_full_cache(
    serve: Serve, place: Place, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that do not fit are CacheFull before any is fetched, with both numbers."""
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    hub = serve()
    needed = sum(map(len, content.values()))
    with pytest.raises(Failure, match=f"{needed} bytes.*1000 bytes") as caught:
        place.fetch(endpoint=hub.url)
    assert caught.value.reason == "CacheFull"
    assert hub.sent("") == 0


def test_a_file_for_a_cache(serve: Serve, place: Place) -> None:
    """A cache that cannot be written says so."""
    place.cache.write_text("")
    with pytest.raises(Failure) as caught:
        place.fetch(endpoint=serve().url)
    assert caught.value.reason == "CacheUnusable"
