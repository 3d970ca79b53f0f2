"""Laws of the fake hub: the real client cannot tell it from the hub."""

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from e2e.hub.server import Hub
from fetch.model import read

Serve = Callable[..., Hub]
MODEL = "acme/tiny"


def test_the_client_downloads_a_snapshot(
    serve: Serve, content: dict[str, bytes], tmp_path: Path
) -> None:
    """The client's own download works, checks included, by whatever name the hub is reached."""
    url = serve().url.replace("127.0.0.1", "localhost")
    options = {"endpoint": url, "token": False, "cache_dir": tmp_path / "hf"}
    assert read(Path(snapshot_download(MODEL, **options))) == content


def test_files_have_the_hubs_own_checksums(serve: Serve, content: dict[str, bytes]) -> None:
    """Large files are told with their LFS sha256, all with size and id."""
    info = HfApi(serve().url, token=False).model_info(MODEL, files_metadata=True)
    assert {s.rfilename: s.size for s in info.siblings} == {n: len(d) for n, d in content.items()}
    large = {s.rfilename for s in info.siblings if s.lfs}
    assert large == {name for name in content if name.endswith(".safetensors")}


def test_the_client_understands_its_refusals(
    serve: Serve, repository: Path, tmp_path: Path
) -> None:
    """Absent repositories, revisions and files, and gated ones, are what the client knows."""
    api = HfApi(hub := serve(token="right").url, token=False)  # noqa: S106
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("acme/absent")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(MODEL, revision="absent")
    options = {"endpoint": hub, "token": False, "cache_dir": tmp_path / "hf"}
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download(MODEL, "absent.json", **options)
    (repository / ".hub.json").write_text('{"access": "gated"}')
    with pytest.raises(GatedRepoError):
        hf_hub_download(MODEL, "config.json", **options)


def test_a_commit_is_a_state(serve: Serve, repository: Path) -> None:
    """The commit changes with any file, and a state can be asked for by its commit."""
    api = HfApi(serve().url, token=False)
    first = api.model_info(MODEL).sha
    assert api.model_info(MODEL, revision=first).sha == first
    (repository / "config.json").write_text("{ }")
    assert api.model_info(MODEL).sha != first
