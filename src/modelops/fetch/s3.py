"""S3, or a server that speaks its API."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Final, cast

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, PartialCredentialsError
from botocore.response import StreamingBody
from botocore.session import Session, get_session

from modelops.fetch.checksum import from_base64
from modelops.fetch.store import Listing, Patience, Unreachable, byte_range
from modelops.registry.address import Record
from modelops.registry.failure import Failure
from modelops.registry.selection import check_listed
from modelops.registry.sums import LONGEST_SUMS, SUMS, read_sums
from modelops.registry.uri import S3Source

_CHUNK: Final = 128 * 1024
_MD5: Final = re.compile(r"[0-9a-f]{32}")
_BAD_KEYS: Final = frozenset(
    {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "XAdminUserNotFound"}
)
"""Codes that services send with other statuses than 401 and 403."""
_REGION: Final = "us-east-1"


class S3Store:
    """All objects below one prefix; an object is read only as it was listed."""

    def __init__(self, source: S3Source, endpoint: str | None, patience: Patience) -> None:
        """Ask nothing yet. Credentials are found as AWS clients do; without any, none are sent."""
        self._source = source
        self._tags: dict[str, str] = {}
        self._sums: Mapping[str, str] = {}
        self._client = _client(get_session(), endpoint, patience)

    def listing(self) -> Listing:
        """Return the objects below the prefix with the checksums of SHA256SUMS, or their tags."""
        with self._failures():
            objects = tuple(self._objects())
            self._tags = {self._path(each): each.get("ETag", "") for each in objects}
            self._sums = self._author_sums()
        check_listed(self._sums, self._tags)
        if not objects:
            raise _not_found(f"there is nothing below {self._source}/")
        return Listing(tuple(map(self._record, objects)))

    def summed(self, record: Record) -> Record:
        """Return the record with the object's own sha256, or its MD5 where the tag is one."""
        if record.verifiable:
            return record
        with self._failures():
            head = self._client.head_object(**self._object(record.path), ChecksumMode="ENABLED")
        return record.summed(_checksum(head) or record.checksum)

    def read(self, record: Record, offset: int, count: int | None = None) -> Iterator[bytes]:
        """Yield the object's bytes from ``offset`` on, as long as it is the one that was listed."""
        wanted = byte_range(offset, count)
        with self._failures():
            body = self._body(record, **wanted)
            if body:
                with closing(body):
                    yield from body.iter_chunks(_CHUNK)

    def _body(self, record: Record, **wanted: str) -> StreamingBody | None:
        """Return the bytes that are wanted; None when the object ends before them."""
        try:
            answer = self._client.get_object(**self._object(record.path), **wanted)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidRange":
                return None
            raise
        return cast("StreamingBody", answer["Body"])

    def _objects(self) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._source.bucket, Prefix=f"{self._source.prefix}/"
        )
        for page in pages:
            yield from (each for each in page.get("Contents", ()) if not each["Key"].endswith("/"))

    def _path(self, each: Mapping[str, Any]) -> str:
        return str(each["Key"]).removeprefix(f"{self._source.prefix}/")

    def _record(self, each: Mapping[str, Any]) -> Record:
        path = self._path(each)
        return Record(path, each["Size"], self._sums.get(path, f"etag:{self._tags[path]}"))

    def _author_sums(self) -> Mapping[str, str]:
        if SUMS not in self._tags:
            return {}
        body = self._client.get_object(**self._object(SUMS))["Body"]
        return read_sums(body.read(LONGEST_SUMS).decode(errors="replace"))

    def _object(self, path: str) -> dict[str, str]:
        key = f"{self._source.prefix}/{path}"
        match = {"IfMatch": self._tags[path]} if self._tags[path] else {}
        return {"Bucket": self._source.bucket, "Key": key, **match}

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._failure(error) from error
        except PartialCredentialsError as error:
            raise self._forbidden(str(error)) from error
        except BotoCoreError as error:
            raise Unreachable(f"the S3 service does not answer ({error})") from error

    def _failure(self, error: ClientError) -> Failure:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code = error.response["Error"].get("Code", status)
        if status in {401, 403} or code in _BAD_KEYS:
            return self._forbidden(f"the S3 service refuses {self._source} ({code})")
        if status == 404:
            return _not_found(f"{self._source} does not exist ({code})")
        if status in {409, 412}:
            return _changed(self._source)
        return Unreachable(f"the S3 service answers with status {status} ({code})")

    def _forbidden(self, message: str) -> Failure:
        return Failure(
            "WeightsForbidden",
            message,
            "put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of a user that may list and read it "
            "into a Secret and name that in spec.model.secretRef",
        )


def _client(session: Session, endpoint: str | None, patience: Patience) -> Any:
    anonymous = session.get_credentials() is None
    custom = endpoint or os.environ.get("AWS_ENDPOINT_URL")
    config = Config(
        connect_timeout=patience.connect_seconds,
        read_timeout=patience.stall_seconds,
        retries={"mode": "standard", "total_max_attempts": 1},
        s3={"addressing_style": "path" if custom else "auto"},
        signature_version=UNSIGNED if anonymous else None,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _REGION
    return session.create_client("s3", region, endpoint_url=custom, config=config)


def _checksum(head: Mapping[str, Any]) -> str | None:
    """Return what can be verified: a tag is an MD5 unless it is of parts or of encrypted bytes."""
    whole = head.get("ChecksumSHA256", "-")
    if "-" not in whole:
        return from_base64(whole)
    tag = str(head.get("ETag", "")).strip('"')
    own_key = head.get("SSECustomerAlgorithm")
    encrypted = own_key or str(head.get("ServerSideEncryption", "")).startswith("aws:kms")
    return f"md5:{tag}" if _MD5.fullmatch(tag) and not encrypted else None


def _not_found(message: str) -> Failure:
    return Failure(
        "WeightsNotFound", message, "correct spec.model.uri, or upload the weights there"
    )


def _changed(source: S3Source) -> Failure:
    return Failure(
        "WeightsCorrupt",
        f"{source} changed while it was fetched",
        "let the upload finish; the next attempt takes what is there then",
    )
