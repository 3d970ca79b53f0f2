"""Where files of jobs are: a bucket of S3, or of a server that speaks its API."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

PART: Final = 8 * 1024 * 1024
"""Larger files go up in parts of so many bytes; none is whole in memory."""

_CHUNK: Final = 256 * 1024
_PATIENCE_SECONDS: Final = 10


class Unavailable(Exception):
    """The store did not do what it was asked for; it may later."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where it is. ``public_url`` is where all can read it, empty if only by signed URLs.

    ``signed_endpoint`` is the endpoint as callers reach it, where that is another. Credentials
    are found as AWS clients do.
    """

    name: str
    endpoint: str = ""
    public_url: str = ""
    signed_endpoint: str = ""


class Store:
    """The files of jobs. Calls wait for the network: threads are for the caller to choose."""

    def __init__(self, bucket: Bucket) -> None:
        """Ask nothing yet."""
        self._bucket = bucket
        self._client = _client(bucket.endpoint)
        outer = bucket.signed_endpoint
        self._signer = _client(outer) if outer else self._client

    @property
    def name(self) -> str:
        """The bucket's name."""
        return self._bucket.name

    def upload(self, path: Path, key: str, content_type: str) -> str:
        """Put a file there, whole or not at all; return its place."""
        with _failures():
            if path.stat().st_size <= PART:
                with path.open("rb") as body:
                    self._client.put_object(
                        Bucket=self._bucket.name, Key=key, Body=body, ContentType=content_type
                    )
            else:
                self._in_parts(path, key, content_type)
        return f"s3://{self._bucket.name}/{key}"

    def put(self, body: bytes, key: str, content_type: str) -> str:
        """Put some bytes there; return their place."""
        with _failures():
            self._client.put_object(
                Bucket=self._bucket.name, Key=key, Body=body, ContentType=content_type
            )
        return f"s3://{self._bucket.name}/{key}"

    def chunks(self, place: str) -> Iterator[bytes]:
        """Yield what is at a place."""
        with _failures():
            found = self._client.get_object(Bucket=self._bucket.name, Key=self._key(place))
            yield from found["Body"].iter_chunks(_CHUNK)

    def url(self, place: str, seconds: int) -> str:
        """Return where anybody can read what is at a place, for so long if it is signed."""
        key = self._key(place)
        if self._bucket.public_url:
            return f"{self._bucket.public_url.rstrip('/')}/{key}"
        asked = {"Bucket": self._bucket.name, "Key": key}
        url: str = self._signer.generate_presigned_url(
            "get_object", Params=asked, ExpiresIn=seconds
        )
        return url

    def places(self, prefix: str) -> list[str]:
        """Return the places of all below a prefix."""
        with _failures():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=prefix
            )
            keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return [f"s3://{self._bucket.name}/{key}" for key in keys]

    def remove(self, prefix: str) -> None:
        """Take away all below a prefix, and what uploads that were never finished left."""
        for upload in self._unfinished(prefix):
            with _failures():
                self._client.abort_multipart_upload(Bucket=self._bucket.name, **upload)
        for place in self.places(prefix):
            with _failures():
                self._client.delete_object(Bucket=self._bucket.name, Key=self._key(place))

    def _unfinished(self, prefix: str) -> list[dict[str, str]]:
        """Return the uploads that somebody began who was killed, or who is at it.

        None where the store does not list them, or not for us: then its own rules end them.
        """
        found: list[dict[str, str]] = []
        with _failures(), suppress(ClientError):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket.name, Prefix=prefix
            )
            found = [each for page in pages for each in page.get("Uploads", ())]
        return [{"Key": each["Key"], "UploadId": each["UploadId"]} for each in found]

    def _key(self, place: str) -> str:
        start = f"s3://{self._bucket.name}/"
        if not place.startswith(start):
            raise Unavailable(f"{place} is in no bucket of this platform")
        return place.removeprefix(start)

    def _in_parts(self, path: Path, key: str, content_type: str) -> None:
        where = {"Bucket": self._bucket.name, "Key": key}
        begun = self._client.create_multipart_upload(**where, ContentType=content_type)
        upload = {**where, "UploadId": begun["UploadId"]}
        try:
            parts = list(self._parts(path, upload))
            self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(**upload)
            raise

    def _parts(self, path: Path, upload: dict[str, str]) -> Iterator[dict[str, Any]]:
        with path.open("rb") as whole:
            number = 0
            while body := whole.read(PART):
                number += 1
                sent = self._client.upload_part(**upload, PartNumber=number, Body=body)
                yield {"PartNumber": number, "ETag": sent["ETag"]}


def _client(endpoint: str) -> Any:
    session = get_session()
    config = Config(
        connect_timeout=_PATIENCE_SECONDS,
        read_timeout=6 * _PATIENCE_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
        s3={"addressing_style": "path" if endpoint else "auto"},
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    region = session.get_config_variable("region") or "us-east-1"
    return session.create_client("s3", region, endpoint_url=endpoint or None, config=config)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise Unavailable(f"the S3 service refuses ({code})") from error
    except BotoCoreError as error:
        raise Unavailable(f"the S3 service does not answer ({type(error).__name__})") from error
