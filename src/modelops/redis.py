"""Where Redis is, and what it takes to be let in: a URL, and a folder with what is secret."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

ANSWER_SECONDS: Final = 0.5
"""A Redis that has not answered within this time is away."""

RETRY_SECONDS: Final = 0.1

FORM: Final = "redis://HOST:6379/0, or rediss://USER:PASSWORD@HOST:6379/0 for TLS"


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, and a folder that may hold `password`, `username`, `ca.crt`, `tls.crt` and `tls.key`.

    Each connection reads them anew, as a mounted Secret changes.
    """

    url: str
    folder: Path | None = None

    def client(self, seconds: float = ANSWER_SECONDS, retries: int = 0) -> Redis:
        """Return a client that gives up after so long: somebody waits.

        It asks again only where asking twice does no harm, as its user has to know.
        """
        return Redis.from_url(
            self.url,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(ConstantBackoff(RETRY_SECONDS), retries),
            health_check_interval=0,
            **self._secrets(),
        )

    def check(self) -> None:
        """Raise ValueError, without what is secret, when there can be no connection to it."""
        if not self._formed():
            message = f"not a URL of Redis; write {FORM}, with '%2F' for a '/' in the password"
            raise ValueError(message)
        if urlsplit(self.url).password and self._file("password"):
            raise ValueError("it has a password, and so has the Secret: take one of them out")

    def _formed(self) -> bool:
        """Tell whether all parts of the URL are what they should be."""
        try:
            found = urlsplit(self.url)
            Redis.from_url(self.url).connection_pool.make_connection()  # type: ignore[no-untyped-call]
            known = found.scheme in {"redis", "rediss"} and found.hostname and found.port != 0
        except (ValueError, TypeError, RedisError):
            return False
        return bool(known) and re.fullmatch(r"/?\d*", found.path, re.ASCII) is not None

    def _secrets(self) -> dict[str, Any]:
        known: dict[str, Any] = {}
        if password := self._file("password"):
            known["credential_provider"] = Mounted(password)
        if urlsplit(self.url).scheme == "rediss":
            files = {"ssl_ca_certs": "ca.crt", "ssl_certfile": "tls.crt", "ssl_keyfile": "tls.key"}
            known |= {key: str(path) for key, name in files.items() if (path := self._file(name))}
        return known

    def _file(self, name: str) -> Path | None:
        path = self.folder / name if self.folder else None
        return path if path and path.exists() else None


@dataclass(frozen=True, slots=True)
class Mounted(CredentialProvider):
    """A user name, if there is one, and a password, from files beside each other."""

    password: Path

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return what the files say now; raises OSError when there is no password any more."""
        word, name = _said(self.password), self.password.with_name("username")
        return (_said(name), word) if name.exists() else (word,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Return the same: files of a mounted Secret are in memory."""
        return self.get_credentials()


def _said(path: Path) -> str:
    """Return a file's text without the line's end that editors and `echo` leave."""
    return path.read_text(encoding="utf-8", errors="replace").rstrip("\r\n")
