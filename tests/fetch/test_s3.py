"""Laws of fetching from S3, on a real server."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.session import get_session

from e2e.s3 import gateway
from fetch.conftest import QUICK, Place
from fetch.model import files, read, sums
from modelops.fetch.s3 import S3Store
from modelops.registry.failure import Failure
from modelops.registry.uri import S3Source

pytestmark = pytest.mark.slow

PART = 5 * 1024 * 1024
URI = "s3://models/acme/tiny"


@dataclass(frozen=True)
class Bucket:
    """The bucket ``models`` of the server."""

    client: Any

    def put(self, path: str, data: bytes, **more: str) -> None:
        """Write one object below acme/tiny."""
        self.client.put_object(Bucket="models", Key=f"acme/tiny/{path}", Body=data, **more)

    def put_in_parts(self, path: str, *parts: bytes) -> None:
        """Write one object by a multipart upload."""
        where = {"Bucket": "models", "Key": f"acme/tiny/{path}"}
        upload = where | {"UploadId": self.client.create_multipart_upload(**where)["UploadId"]}
        tags = [
            {
                "PartNumber": i,
                "ETag": self.client.upload_part(**upload, PartNumber=i, Body=part)["ETag"],
            }
            for i, part in enumerate(parts, start=1)
        ]
        self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": tags})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gateway.Gateway]:
    """A server for all tests of this module."""
    with gateway.running(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: gateway.Gateway) -> Iterator[Any]:
    """A client with all rights; to make one takes longer than what it is asked for."""
    session = get_session()
    session.set_credentials(server.access_key, server.secret_key)
    with closing(session.create_client("s3", "us-east-1", endpoint_url=server.url)) as made:
        yield made


@pytest.fixture
def bucket(
    server: gateway.Gateway, client: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    """An empty bucket; the environment holds the server's address and credentials."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    client.create_bucket(Bucket="models")
    yield Bucket(client)
    for each in client.list_objects_v2(Bucket="models").get("Contents", ()):
        client.delete_object(Bucket="models", Key=each["Key"])
    client.delete_bucket(Bucket="models")


@pytest.fixture
def store(place: Place) -> Place:
    """A cache and a link for s3://models/acme/tiny."""
    return Place(place.root, replace(place.order, uri=URI))


def checksums(place: Place) -> dict[str, str]:
    """Return the checksum of each file in the only snapshot."""
    return {each["path"]: each["checksum"] for each in place.artifacts[0]["files"]}


def test_fetches_what_the_prefix_holds(
    bucket: Bucket, store: Place, content: dict[str, bytes]
) -> None:
    """The engine sees the very objects below the prefix, and nothing beside it."""
    for path, data in content.items():
        bucket.put(path, data)
    bucket.client.put_object(Bucket="models", Key="acme/tiny-2/config.json", Body=b"{}")
    done = store.fetch()
    assert read(store.model) == content
    assert (done["source"], done["unverified"]) == ("download", 0)
    assert {kind.partition(":")[0] for kind in checksums(store).values()} <= {"md5", "sha256"}
    assert store.fetch()["source"] == "cache"


def test_own_sha256_is_used(bucket: Bucket, store: Place, content: dict[str, bytes]) -> None:
    """An object that was stored with its sha256 is verified by that."""
    for path, data in content.items():
        bucket.put(path, data, ChecksumAlgorithm="SHA256")
    assert store.fetch()["unverified"] == 0
    assert {kind.partition(":")[0] for kind in checksums(store).values()} == {"sha256"}


def test_parts_cannot_be_verified_and_it_is_said(bucket: Bucket, store: Place) -> None:
    """The tag of an object in parts is no checksum of it; SHA256SUMS beside it is."""
    [(name, weights)] = [(n, d) for n, d in files(PART + 1000).items() if "of" in n]
    bucket.put_in_parts(name, weights[:PART], weights[PART:])
    assert store.fetch()["unverified"] == 1
    bucket.put("SHA256SUMS", sums({name: weights}))
    assert store.fetch()["unverified"] == 0


def test_wrong_sums(bucket: Bucket, store: Place, content: dict[str, bytes]) -> None:
    """Bytes that differ from the author's SHA256SUMS are WeightsCorrupt."""
    for path, data in content.items():
        bucket.put(path, data)
    bucket.put("SHA256SUMS", sums(dict.fromkeys(content, b"other")))
    with pytest.raises(Failure) as caught:
        store.fetch()
    assert caught.value.reason == "WeightsCorrupt"


def test_sums_name_a_missing_shard(bucket: Bucket, store: Place, content: dict[str, bytes]) -> None:
    """Weights that SHA256SUMS names and nobody uploaded are WeightsIncomplete."""
    for path, data in content.items():
        bucket.put(path, data)
    bucket.put("SHA256SUMS", sums({"more.safetensors": b""}))
    with pytest.raises(Failure, match=r"more\.safetensors") as caught:
        store.fetch()
    assert caught.value.reason == "WeightsIncomplete"


def test_resumes(bucket: Bucket, store: Place, content: dict[str, bytes]) -> None:
    """What an earlier run left is continued, not fetched again."""
    for path, data in content.items():
        bucket.put(path, data)
    done = store.fetch()
    snapshot = store.cache / "snapshots" / done["digest"]
    shard = next(snapshot.glob("*1-of-*"))
    partial = shard.rename(f"{shard}.partial")
    partial.write_bytes(partial.read_bytes()[:1000])
    (snapshot / "artifact.json").unlink()
    assert store.fetch()["source"] == "download"
    assert read(store.model) == content


def test_a_change_after_the_listing(bucket: Bucket, content: dict[str, bytes]) -> None:
    """An object that is overwritten while it is fetched never mixes two contents."""
    for path, data in content.items():
        bucket.put(path, data)
    store = S3Store(S3Source("models", "acme/tiny"), None, QUICK)
    record = store.listing().records[0]
    bucket.put(record.path, b"other")
    with pytest.raises(Failure, match="changed") as caught:
        list(store.read(record, 0))
    assert caught.value.reason == "WeightsCorrupt"


def test_beyond_the_end_is_nothing(bucket: Bucket) -> None:
    """An object that is shorter than was listed ends; that is no error of the service."""
    bucket.put("config.json", b"{}")
    store = S3Store(S3Source("models", "acme/tiny"), None, QUICK)
    [record] = store.listing().records
    assert list(store.read(record, 2)) == []
    assert list(store.read(record, 1)) == [b"}"]


@pytest.mark.parametrize("uri", ["s3://models/absent", "s3://absent/acme"])
def test_absent(bucket: Bucket, store: Place, uri: str) -> None:
    """A prefix or bucket that is not there is WeightsNotFound."""
    del bucket
    with pytest.raises(Failure) as caught:
        store.fetch(uri=uri)
    assert caught.value.reason == "WeightsNotFound"


@pytest.mark.parametrize(
    "change",
    [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "nobody"}, {}],
    ids=json.dumps,
)
def test_forbidden(
    bucket: Bucket, store: Place, change: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong credentials and none at all are WeightsForbidden."""
    bucket.put("config.json", b"{}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if not change:
            monkeypatch.delenv(name)
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Failure) as caught:
        store.fetch()
    assert caught.value.reason == "WeightsForbidden"


def test_no_server(store: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is SourceUnreachable."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(Failure) as caught:
        store.fetch(endpoint="http://127.0.0.1:9")
    assert caught.value.reason == "SourceUnreachable"
