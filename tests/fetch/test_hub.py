"""Laws of fetching from the hub."""

import hashlib
import json
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from e2e.hub.server import Hub
from fetch.conftest import Place
from fetch.model import files, read, write
from modelops.registry.failure import Failure

Serve = Callable[..., Hub]
TOKEN = secrets.token_hex()


def test_fetches_what_the_source_has(serve: Serve, place: Place, content: dict[str, bytes]) -> None:
    """The engine sees the very files of the source, and the event tells what they are."""
    hub = serve()
    done = place.fetch(endpoint=hub.url)
    assert read(place.model) == content
    assert done["event"] == "done"
    assert done["source"] == "download"
    assert done["bytes"] == sum(map(len, content.values()))
    assert done["unverified"] == 0
    assert done["revision"] == HfApi(hub.url, token=False).model_info("acme/tiny").sha
    assert place.model.readlink() == place.cache / "snapshots" / done["digest"]


def test_endpoint_may_come_from_the_environment(
    serve: Serve, place: Place, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an endpoint in the order, HF_ENDPOINT is the hub."""
    monkeypatch.setenv("HF_ENDPOINT", serve().url)
    place.fetch()
    assert read(place.model) == content


def test_second_fetch_reads_no_file(serve: Serve, place: Place) -> None:
    """What the cache has is not fetched again."""
    hub = serve()
    first = place.fetch(endpoint=hub.url)
    sent = hub.sent("")
    second = place.fetch(endpoint=hub.url)
    assert hub.sent("") == sent
    assert (second["source"], second["digest"]) == ("cache", first["digest"])


def test_a_pin_asks_no_source(serve: Serve, place: Place, repository: Path) -> None:
    """A pinned model stays what it was when the branch moves, and needs no hub any more."""
    hub = serve()
    first = place.fetch(endpoint=hub.url, pin="default.textmodel.a")
    (repository / "config.json").write_text("{}")
    asked = len(hub.served)
    again = place.fetch(endpoint=hub.url, pin="default.textmodel.a")
    assert again["digest"] == first["digest"]
    assert len(hub.served) == asked
    assert place.fetch(endpoint=hub.url, pin="default.textmodel.b")["digest"] != first["digest"]


def test_a_pin_is_of_one_order(serve: Serve, place: Place, repository: Path) -> None:
    """Another revision under the same pin is resolved anew."""
    write(repository.with_name("tiny@v2"), files(1000))
    hub = serve()
    first = place.fetch(endpoint=hub.url, pin="p")
    second = place.fetch(endpoint=hub.url, pin="p", revision="v2")
    assert second["digest"] != first["digest"]
    assert read(place.model) == files(1000)


def test_a_pinned_commit_is_finished(serve: Serve, place: Place, repository: Path) -> None:
    """A fetch that was cut short goes on with the commit it began with, wherever the branch is."""

    def cut(path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        return iter(()) if path.endswith(".safetensors") else chunks

    hub = serve(cut)
    with pytest.raises(Failure):
        place.fetch(endpoint=hub.url, pin="p")
    began = HfApi(hub.url, token=False).model_info("acme/tiny").sha
    write(repository.with_name("tiny@old"), read(repository))
    (repository / "config.json").write_text("{}")
    hub.body = lambda _, chunks: chunks
    assert place.fetch(endpoint=hub.url, pin="p")["revision"] == began


def test_equal_content_has_one_snapshot(serve: Serve, place: Place, tmp_path: Path) -> None:
    """Two repositories with the same files share a snapshot."""
    write(tmp_path / "hub" / "other" / "copy", files(300_000, 200_000))
    hub = serve()
    first = place.fetch(endpoint=hub.url)
    second = place.fetch(endpoint=hub.url, uri="hf://other/copy")
    assert (second["source"], second["digest"]) == ("cache", first["digest"])


def test_artifact_tells_all_files(serve: Serve, place: Place, content: dict[str, bytes]) -> None:
    """A snapshot's artifact.json lists each file with its size and checksum."""
    place.fetch(endpoint=serve().url)
    listed = {each["path"]: each for each in place.artifacts[0]["files"]}
    assert listed.keys() == content.keys()
    shard = "model-00001-of-00002.safetensors"
    assert listed[shard]["checksum"] == f"sha256:{hashlib.sha256(content[shard]).hexdigest()}"
    assert listed["config.json"]["checksum"].startswith("git:")


@pytest.mark.parametrize(
    ("uri", "revision", "reason"),
    [
        ("hf://acme/absent", None, "WeightsNotFound"),
        ("hf://acme/tiny", "absent", "WeightsNotFound"),
    ],
)
def test_absent(serve: Serve, place: Place, uri: str, revision: str | None, reason: str) -> None:
    """A repository or revision that is not there is WeightsNotFound."""
    with pytest.raises(Failure) as caught:
        place.fetch(endpoint=serve().url, uri=uri, revision=revision)
    assert caught.value.reason == reason


@pytest.mark.parametrize("token", [None, "wrong"])
def test_gated(
    serve: Serve,
    place: Place,
    repository: Path,
    token: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A gated repository is WeightsForbidden without the right token, and served with it."""
    (repository / ".hub.json").write_text('{"access": "gated"}')
    hub = serve(token=TOKEN)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(Failure) as caught:
        place.fetch(endpoint=hub.url)
    assert caught.value.reason == "WeightsForbidden"
    assert "HF_TOKEN" in caught.value.action
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}\n")
    assert place.fetch(endpoint=hub.url)["source"] == "download"


def test_private(
    serve: Serve, place: Place, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private repository looks as if it were not there, so the failure tells of both."""
    (repository / ".hub.json").write_text('{"access": "private"}')
    hub = serve(token=TOKEN)
    with pytest.raises(Failure, match="private") as caught:
        place.fetch(endpoint=hub.url)
    assert caught.value.reason == "WeightsNotFound"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert place.fetch(endpoint=hub.url)["source"] == "download"


def test_no_hub(place: Place) -> None:
    """A hub that does not answer is SourceUnreachable, and its address is told."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Failure, match=url) as caught:
        place.fetch(endpoint=url)
    assert caught.value.reason == "SourceUnreachable"


def test_a_shard_that_the_index_names_is_missing(
    serve: Serve, place: Place, repository: Path
) -> None:
    """A missing shard is WeightsIncomplete before any weights are fetched."""
    names = {"a": "model-00001-of-00002.safetensors", "b": "extra.safetensors"}
    index = json.dumps({"weight_map": names})
    (repository / "model.safetensors.index.json").write_text(index)
    hub = serve()
    with pytest.raises(Failure, match="extra") as caught:
        place.fetch(endpoint=hub.url)
    assert caught.value.reason == "WeightsIncomplete"
    assert hub.requests(".safetensors") == 0


def test_only_pickle(serve: Serve, place: Place, tmp_path: Path) -> None:
    """Pickled weights are refused, and fetched when they are allowed."""
    pickled = {"pytorch_model.bin": b"x" * 10, "config.json": b"{}"}
    write(tmp_path / "hub" / "acme" / "old", pickled)
    hub = serve()
    with pytest.raises(Failure) as caught:
        place.fetch(endpoint=hub.url, uri="hf://acme/old")
    assert caught.value.reason == "WeightsUnsafe"
    place.fetch(endpoint=hub.url, uri="hf://acme/old", formats="AllowPickle")
    assert read(place.model) == pickled
