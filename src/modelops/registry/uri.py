"""Model URIs: where the weights of a model are."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

_WORDS: Final = "[A-Za-z0-9_]+(?:[.-]+[A-Za-z0-9_]+)*"
_REVISION: Final = "[A-Za-z0-9_][A-Za-z0-9_+-]*(?:[./][A-Za-z0-9_+-]+)*"
_BUCKET: Final = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_SEGMENT: Final = "[.]?[A-Za-z0-9_@+=~,:-][A-Za-z0-9_@+=~,:.-]*"
_PATH: Final = f"{_SEGMENT}(?:/{_SEGMENT})*"

REVISION_PATTERN: Final = f"^{_REVISION}$"
"""What a revision looks like, RE2-compatible: a branch, a tag or a commit."""


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on the Hugging Face hub; ``revision`` None stands for its default branch."""

    owner: str
    name: str
    revision: str | None = None

    @property
    def repository(self) -> str:
        """The hub's own name of the repository, OWNER/NAME."""
        return f"{self.owner}/{self.name}"

    def __str__(self) -> str:
        """Return the URI."""
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True, slots=True)
class S3Source:
    """All objects below a prefix of an S3 bucket; ``prefix`` has no slash at either end."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        """Return the URI."""
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class ClaimSource:
    """A folder on a PersistentVolumeClaim; ``path`` is relative to the claim's root."""

    claim: str
    path: str

    def __str__(self) -> str:
        """Return the URI."""
        return f"pvc://{self.claim}/{self.path}"


Source = HubSource | S3Source | ClaimSource


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How URIs of one scheme are written and read; both leave the scheme itself out."""

    form: str
    pattern: str
    read: Callable[[str], Source]


def _hub(rest: str) -> HubSource:
    repository, _, revision = rest.partition("@")
    owner, _, name = repository.partition("/")
    return HubSource(owner, name, revision or None)


def _s3(rest: str) -> S3Source:
    bucket, _, prefix = rest.partition("/")
    return S3Source(bucket, prefix)


def _claim(rest: str) -> ClaimSource:
    claim, _, path = rest.partition("/")
    return ClaimSource(claim, path)


_SCHEMES: Final[Mapping[str, _Scheme]] = {
    "hf": _Scheme("OWNER/NAME[@REVISION]", f"{_WORDS}/{_WORDS}(?:@{_REVISION})?", _hub),
    "s3": _Scheme("BUCKET/PREFIX", f"{_BUCKET}/{_PATH}", _s3),
    "pvc": _Scheme("CLAIM/PATH", f"{_LABEL}(?:[.]{_LABEL})*/{_PATH}", _claim),
}


def _either(schemes: Mapping[str, _Scheme]) -> str:
    return "|".join(f"{name}://{scheme.pattern}" for name, scheme in schemes.items())


def _forms() -> str:
    *others, last = (f"{name}://{scheme.form}" for name, scheme in _SCHEMES.items())
    return f"{', '.join(others)} or {last}"


URI_PATTERN: Final = f"^(?:{_either(_SCHEMES)})$"
"""Matches exactly what ``parse_uri`` reads; RE2-compatible, without quotes and backslashes."""

URI_HELP: Final = (
    f"write the uri as {_forms()}, without spaces, a query, a '..' or a slash at the end"
)
"""What to write, for the author of a URI that does not match."""


def parse_uri(text: str) -> Source:
    """Read a model URI.

    Raises ValueError with a message that says what to write.
    """
    name, separator, rest = text.partition("://")
    scheme = _SCHEMES.get(name)
    if not separator or scheme is None:
        raise ValueError(f"{text!r} is not a model URI: {URI_HELP}")
    if not re.fullmatch(scheme.pattern, rest):
        raise ValueError(
            f"{text!r} is not a model URI: write it as {name}://{scheme.form}, "
            "without spaces, a query, a '..' or a slash at the end"
        )
    return scheme.read(rest)
