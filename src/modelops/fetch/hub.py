"""The Hugging Face hub, or a server that speaks its API."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling

from modelops.fetch.store import Listing, Patience, Unreachable, byte_range
from modelops.registry.address import Record
from modelops.registry.failure import Failure
from modelops.registry.uri import HubSource


class HubStore:
    """One repository at one commit: whatever is read is of the commit that was listed."""

    def __init__(self, source: HubSource, endpoint: str | None, patience: Patience) -> None:
        """Ask nothing yet. The token is HF_TOKEN of the environment and nothing else."""
        self._source = source
        known = endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
        self._endpoint = known.rstrip("/")
        self._token = os.environ.get("HF_TOKEN", "").strip() or False
        self._timeout = httpx2.Timeout(patience.stall_seconds, connect=patience.connect_seconds)
        self._commit: str | None = None

    def listing(self) -> Listing:
        """Return the files of the repository with the hub's own checksums."""
        with self._failures():
            info = HfApi(endpoint=self._endpoint, token=self._token).model_info(
                self._source.repository,
                revision=self._source.revision,
                files_metadata=True,
                timeout=cast("float", self._timeout),  # passed on to httpx2 as it is
            )
        self._commit = info.sha
        return Listing(tuple(map(_record, info.siblings or ())), info.sha)

    def summed(self, record: Record) -> Record:
        """Return the record as it is: the listing has told all."""
        return record

    def read(self, record: Record, offset: int, count: int | None = None) -> Iterator[bytes]:
        """Yield the file's bytes from ``offset`` on."""
        url, headers = self._url(record.path), self._headers(offset, count)
        with (
            self._failures(),
            get_session().stream("GET", url, headers=headers, timeout=self._timeout) as response,
        ):
            if response.status_code == 416:
                return
            hf_raise_for_status(response)
            skipped = offset if response.status_code == 200 else 0
            yield from _without_first(response.iter_bytes(), skipped)

    def _headers(self, offset: int, count: int | None) -> dict[str, str]:
        return {
            "Accept-Encoding": "identity",
            **({"Authorization": f"Bearer {self._token}"} if self._token else {}),
            **byte_range(offset, count),
        }

    def _url(self, path: str) -> str:
        repository = self._source.repository
        return hf_hub_url(repository, path, revision=self._commit, endpoint=self._endpoint)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except HfHubHTTPError as error:
            raise self._failure(error) from error
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            told = str(error) or type(error).__name__
            raise Unreachable(f"the hub at {self._endpoint} does not answer ({told})") from error
        except (ValueError, TypeError, KeyError) as error:
            raise Unreachable(f"{self._endpoint} does not speak the hub's API ({error})") from error

    def _failure(self, error: HfHubHTTPError) -> Failure:
        status = error.response.status_code
        repository = self._source.repository
        if isinstance(error, GatedRepoError):
            return self._forbidden(f"{repository} is gated, and {self._whose()} may not read it")
        if isinstance(error, RevisionNotFoundError):
            return _not_found(f"{repository} has no revision {self._source.revision}")
        if isinstance(error, EntryNotFoundError):
            return _not_found(f"{repository} lost a file while it was fetched")
        if isinstance(error, RepositoryNotFoundError) or status == 404:
            return _not_found(f"{repository} does not exist on the hub, or is private")
        if isinstance(error, DisabledRepoError) or status in {401, 403}:
            return self._forbidden(f"the hub refuses {repository} to {self._whose()} ({status})")
        return Unreachable(f"the hub at {self._endpoint} answers with status {status}")

    def _whose(self) -> str:
        return "the token in HF_TOKEN" if self._token else "a client without a token"

    def _forbidden(self, message: str) -> Failure:
        return Failure(
            "WeightsForbidden",
            message,
            "accept the model's terms on the hub, put a token that may read it as HF_TOKEN into a "
            "Secret and name that in spec.model.secretRef",
        )


def _record(sibling: RepoSibling) -> Record:
    if sibling.lfs:
        return Record(sibling.rfilename, sibling.lfs.size, f"sha256:{sibling.lfs.sha256}")
    if sibling.size is None or not sibling.blob_id:
        raise ValueError(f"no size or id of {sibling.rfilename}")
    return Record(sibling.rfilename, sibling.size, f"git:{sibling.blob_id}")


def _without_first(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Drop the first ``count`` bytes, for a server that does not know ranges."""
    for chunk in chunks:
        kept = chunk[count:]
        count = max(0, count - len(chunk))
        if kept:
            yield kept


def _not_found(message: str) -> Failure:
    return Failure(
        "WeightsNotFound",
        message,
        "correct spec.model.uri or revision; a private repository needs a token as HF_TOKEN in the "
        "Secret that spec.model.secretRef names",
    )
