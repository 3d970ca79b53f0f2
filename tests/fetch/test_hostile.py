"""Laws of sources that break, lie or stall."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from e2e.hub.server import Body, Hub
from fetch.conftest import Place
from fetch.model import read, write
from modelops.fetch.cache import Cache, disk_failures
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


def test_a_full_cache(serve: Serve, place: Place, repository: Path) -> None:
    """Weights that do not fit are CacheFull before any is fetched, with both numbers."""
    huge = {"lies": {"config.json": {"size": 10**18}}}
    (repository / ".hub.json").write_text(json.dumps(huge))
    hub = serve()
    with pytest.raises(Failure, match=r"need 1000000000\d+ bytes more .* has \d+ bytes") as caught:
        place.fetch(endpoint=hub.url)
    assert caught.value.reason == "CacheFull"
    assert hub.sent("") == 0


def test_room_is_made_from_what_nobody_needs(serve: Serve, place: Place, repository: Path) -> None:
    """For weights that do not fit, only what nobody completed or works on is removed."""
    hub = serve()
    kept = place.fetch(endpoint=hub.url)["digest"]
    folder = place.cache / "snapshots"
    for name in ("abandoned", "busy"):
        write(folder / name, {"model.safetensors.partial": b"x"})
    huge = {"lies": {"config.json": {"size": 10**18}}}
    (repository / ".hub.json").write_text(json.dumps(huge))
    with Cache(place.cache).lock("busy"), pytest.raises(Failure):
        place.fetch(endpoint=hub.url)
    assert {path.name for path in folder.iterdir()} == {kept, "busy"}


def test_a_disk_that_fills_up() -> None:
    """A device that has no room left in the middle of a file is CacheFull too."""
    with (
        pytest.raises(Failure) as caught,
        disk_failures(),
        open("/dev/full", "wb", buffering=0) as full,  # noqa: PTH123 - a device, not a path
    ):
        full.write(b"x")
    assert caught.value.reason == "CacheFull"


@pytest.mark.parametrize("name", ["../../../out.json", "/out.json", "tokenizer/tokenizer.json"])
def test_a_listing_that_lies(serve: Serve, place: Place, repository: Path, name: str) -> None:
    """A path out of the snapshot, or one that is listed twice, is refused before any fetch."""
    lies = {"lies": {"config.json": {"rfilename": name}}}
    (repository / ".hub.json").write_text(json.dumps(lies))
    hub = serve()
    with pytest.raises(Failure) as caught:
        place.fetch(endpoint=hub.url)
    assert caught.value.reason == "WeightsCorrupt"
    assert hub.sent("") == 0


@pytest.mark.parametrize("more", [-1, 1])
def test_a_size_that_lies(serve: Serve, place: Place, repository: Path, more: int) -> None:
    """A file that is longer or shorter than listed never becomes part of a model."""
    size = (repository / "config.json").stat().st_size
    lies = {"lies": {"config.json": {"size": size + more}}}
    (repository / ".hub.json").write_text(json.dumps(lies))
    with pytest.raises(Failure) as caught:
        place.fetch(endpoint=serve().url)
    assert caught.value.reason == "WeightsCorrupt"
    assert not place.artifacts
    assert not list(place.cache.rglob("config.json*"))


def test_what_is_no_hub(serve: Serve, place: Place) -> None:
    """An address with something else behind it is told as such."""
    with pytest.raises(Failure, match="does not exist on the hub") as caught:
        place.fetch(endpoint=f"{serve().url}/elsewhere")
    assert caught.value.reason == "WeightsNotFound"


def test_a_file_for_a_cache(serve: Serve, place: Place) -> None:
    """A cache that cannot be written says so."""
    place.cache.write_text("")
    with pytest.raises(Failure) as caught:
        place.fetch(endpoint=serve().url)
    assert caught.value.reason == "CacheUnusable"
