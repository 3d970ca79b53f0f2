"""Laws of weights on a claim."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fetch.conftest import Place
from fetch.model import sums, write
from modelops.registry.failure import Failure


@pytest.fixture
def folder(place: Place, content: dict[str, bytes]) -> Path:
    """A model on a claim, in the folder tiny."""
    return write(place.root / "source" / "tiny", content)


@pytest.fixture
def claim(place: Place, folder: Path) -> Place:
    """The order for that model; there is no cache."""
    order = replace(place.order, uri="pvc://models/tiny", claim=folder.parent, cache=None)
    return Place(place.root, order)


def test_nothing_is_copied(claim: Place, folder: Path, content: dict[str, bytes]) -> None:
    """The engine's link leads to the claim itself."""
    before = sorted(claim.root.rglob("*"))
    done = claim.fetch()
    assert claim.model.readlink() == folder
    assert done["source"] == "claim"
    assert done["bytes"] == sum(map(len, content.values()))
    assert set(claim.root.rglob("*")) - set(before) == {claim.model.parent, claim.model}


def test_a_claim_may_be_read_only(claim: Place, folder: Path) -> None:
    """A claim that nobody may write is as good."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555)
    assert claim.fetch()["source"] == "claim"


def test_sums_are_verified(claim: Place, folder: Path, content: dict[str, bytes]) -> None:
    """With SHA256SUMS every file is verified and the model has a digest; without, none."""
    assert "digest" not in claim.fetch()
    (folder / "SHA256SUMS").write_bytes(sums(content))
    done = claim.fetch()
    assert done["unverified"] == 0
    assert len(done["digest"]) == 64


def test_a_changed_byte_is_found(claim: Place, folder: Path, content: dict[str, bytes]) -> None:
    """A file that differs from SHA256SUMS is WeightsCorrupt, and there is no link."""
    (folder / "SHA256SUMS").write_bytes(sums(content))
    shard = next(folder.glob("*2-of-*"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    with pytest.raises(Failure, match=shard.name) as caught:
        claim.fetch()
    assert caught.value.reason == "WeightsCorrupt"
    assert not claim.model.is_symlink()


def test_a_cut_file_is_found(claim: Place, folder: Path) -> None:
    """A safetensors file that was copied in part is WeightsCorrupt even without SHA256SUMS."""
    shard = next(folder.glob("*2-of-*"))
    os.truncate(shard, shard.stat().st_size - 1)
    with pytest.raises(Failure, match=shard.name) as caught:
        claim.fetch()
    assert caught.value.reason == "WeightsCorrupt"


def test_a_missing_shard_is_found(claim: Place, folder: Path) -> None:
    """A shard that was not copied is WeightsIncomplete."""
    next(folder.glob("*2-of-*")).unlink()
    with pytest.raises(Failure) as caught:
        claim.fetch()
    assert caught.value.reason == "WeightsIncomplete"


def test_no_client_is_loaded(claim: Place) -> None:
    """Weights in place wait for no import of what only fetching needs."""
    heavy = ("asyncio", "botocore", "httpx2", "huggingface_hub", "pydantic", "stamina")
    script = f"""
import sys
from modelops.fetch.main import run
code = run(["--uri=pvc://models/tiny", "--source={claim.order.claim}", "--link={claim.model}"])
print(code, [name for name in {heavy} if name in sys.modules])
"""
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines()[-1] == "0 []"


@pytest.mark.parametrize("path", ["absent", "tiny/config.json"])
def test_no_such_folder(claim: Place, path: str) -> None:
    """A path that is not a folder of the claim is WeightsNotFound."""
    with pytest.raises(Failure) as caught:
        claim.fetch(uri=f"pvc://models/{path}")
    assert caught.value.reason == "WeightsNotFound"


def test_links_within_the_claim_are_followed(claim: Place, folder: Path) -> None:
    """Files may be links, as in the hub's own cache, as long as they stay on the claim."""
    shard = next(folder.glob("*1-of-*"))
    blob = shard.rename(folder.parent / "blob")
    shard.symlink_to("../blob")
    assert claim.fetch()["bytes"] > blob.stat().st_size


@pytest.mark.parametrize("target", ["/etc/hostname", "../../outside", "nowhere"])
def test_links_out_of_the_claim_are_refused(claim: Place, folder: Path, target: str) -> None:
    """A link to what the engine cannot or should not read is refused."""
    (claim.root / "outside").write_text("secret")
    (folder / "extra.json").symlink_to(target)
    with pytest.raises(Failure, match=r"extra\.json") as caught:
        claim.fetch()
    assert caught.value.reason == "WeightsIncomplete"


def test_a_folder_that_leads_out_of_the_claim_is_refused(claim: Place, folder: Path) -> None:
    """A claim cannot make the engine read another file system."""
    (folder.parent / "away").symlink_to(write(claim.root / "away", {"model.safetensors": b""}))
    with pytest.raises(Failure, match="leads out"):
        claim.fetch(uri="pvc://models/away")


def test_hidden_files_do_not_matter(claim: Place, folder: Path) -> None:
    """What a tool left in a hidden folder is neither checked nor a reason to refuse."""
    write(folder, {".cache/x.lock": b""})
    (folder / ".cache" / "dead").symlink_to("nowhere")
    assert claim.fetch()["source"] == "claim"
