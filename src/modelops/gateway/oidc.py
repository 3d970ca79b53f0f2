"""The public keys of other issuers: found by OpenID Connect discovery, and fetched again and again.

What was fetched last stays valid while an issuer is away, also over a restart.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from prometheus_client import Gauge

from modelops.cluster import Transport, Unreachable
from modelops.gateway.files import publish
from modelops.gateway.snapshot import Issuer

REFRESH_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 10.0
"""An issuer that has not told its keys within this time is away."""

LARGEST: Final = 262_144
"""Bytes of a document; the largest that is known has 40 KiB."""

MOST_KEYS: Final = 100
SMALLEST_RSA: Final = 2048
ALGORITHMS: Final = frozenset(
    f"{kind}{bits}" for kind in ("RS", "PS") for bits in (256, 384, 512)
) | {
    "ES256",
    "ES384",
    "EdDSA",
}
CURVES: Final = frozenset({"P-256", "P-384", "Ed25519"})
PUBLIC: Final = ("kty", "kid", "alg", "use", "n", "e", "crv", "x", "y")
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
DISCOVERY: Final = "/.well-known/openid-configuration"
CLUSTER_KEYS: Final = "/openid/v1/jwks"
KEPT: Final = ".issuers"
"""The file that remembers keys; no file of Envoy's."""

Keys = tuple[Mapping[str, Any], ...]
_WRONG_ANSWERS: Final = (httpx2.HTTPError, httpx2.InvalidURL)
log = logging.getLogger(__name__)


class Unusable(Exception):
    """An issuer does not tell its keys, or not such that they can be taken."""


def is_safe(url: str) -> bool:
    """Tell whether nobody on the way can change what a URL answers: https, or this machine."""
    try:
        parts = urlsplit(url)
        named = parts.hostname and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        return False
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    return bool(named) and (parts.scheme == "https" or local)


def public_keys(document: bytes) -> Keys:
    """Return the keys of a JWKS that may verify, without any that is secret; raises Unusable."""
    listed = _parsed(document).get("keys")
    if not isinstance(listed, list):
        raise Unusable("its key set has no list `keys`")
    found = tuple(key for key in map(_public, listed[:MOST_KEYS]) if key)
    if not found:
        raise Unusable("its key set has no RSA, EC or Ed25519 key that signs")
    return found


def _public(key: Any) -> Mapping[str, Any] | None:
    """Return what of a JWK is public; None for what must not verify or Envoy cannot take."""
    if not isinstance(key, dict) or key.get("use", "sig") != "sig":
        return None
    if key.get("alg", "ES256") not in ALGORITHMS or not isinstance(key.get("kid", ""), str):
        return None
    try:
        read = JWKRegistry.import_key(key)
        fits = _verifies(read)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return {name: key[name] for name in PUBLIC if name in key} if fits else None


def _verifies(key: Any) -> bool:
    if not isinstance(key, RSAKey | ECKey | OKPKey) or key.is_private:
        return False
    if isinstance(key, RSAKey):
        return key.raw_value.key_size >= SMALLEST_RSA
    return key.curve_name in CURVES


def _parsed(document: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise Unusable("it answers with something that is no JSON") from error
    if not isinstance(found, dict):
        raise Unusable("it answers with something that is no JSON object")
    return found


@dataclass(slots=True)
class Trust:
    """The issuers whose tokens are taken, and the keys that each told last."""

    issuers: Sequence[Issuer]
    server: Transport
    folder: Path
    changed: Callable[[], None]
    number: Gauge
    """Of keys, by issuer."""
    read: Gauge
    """When they were read, by issuer."""
    keys: dict[str, Keys] = field(default_factory=dict)
    period: float = REFRESH_SECONDS

    async def run(self) -> None:
        """Keep the keys right until cancelled."""
        while True:
            whole = all(issuer.name in self.keys for issuer in self.issuers)
            await asyncio.sleep(self.period if whole else RETRY_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Ask every issuer once; one that fails keeps the keys that it had."""
        before = dict(self.keys)
        await asyncio.gather(*map(self._refresh, self.issuers))
        if self.keys != before:
            self._keep()
            self.changed()

    async def _refresh(self, issuer: Issuer) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self.keys[issuer.name] = await self._told(issuer)
        except (Unusable, Unreachable, OSError, ValueError, *_WRONG_ANSWERS) as error:
            log.warning(
                "the issuer %s (%s) tells no keys, going on with those that it told last: %s",
                issuer.name, issuer.url, str(error) or type(error).__name__,
            )  # fmt: skip
        else:
            self.read.labels(issuer.name).set_to_current_time()
        self.number.labels(issuer.name).set(len(self.keys.get(issuer.name, ())))

    async def _told(self, issuer: Issuer) -> Keys:
        if issuer.in_cluster:
            return await _cluster_keys(self.server, issuer)
        context = ssl.create_default_context(cafile=issuer.ca_file)
        async with httpx2.AsyncClient(
            verify=context, trust_env=False, timeout=PATIENCE_SECONDS, follow_redirects=False
        ) as client:
            return public_keys(await _fetched(client, await _place(client, issuer)))

    def recall(self) -> None:
        """Take the keys that an earlier process kept, of issuers that are the same still."""
        try:
            kept = json.loads((self.folder / KEPT).read_bytes())
            for issuer in self.issuers:
                if issuer.url in kept:
                    text = json.dumps({"keys": kept[issuer.url]}).encode()
                    self.keys[issuer.name] = public_keys(text)
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, Unusable) as error:
            log.warning("the keys of issuers that were kept cannot be read: %s", error)

    def _keep(self) -> None:
        kept = {i.url: list(self.keys[i.name]) for i in self.issuers if i.name in self.keys}
        try:
            publish(self.folder, {KEPT: json.dumps(kept)}, {})
        except OSError as error:
            log.warning("the keys of issuers cannot be kept for a restart: %s", error)


async def _cluster_keys(server: Transport, issuer: Issuer) -> Keys:
    """Return the keys that sign service accounts' tokens, as the API server tells them itself."""
    known = await _asked(server, DISCOVERY)
    _agree(_parsed(known), issuer)
    return public_keys(await _asked(server, CLUSTER_KEYS))


async def _asked(server: Transport, path: str) -> bytes:
    answer = await server.request("GET", path, None, "application/json")
    if answer.status != 200:
        message = f"the API server answers {answer.status} to {path}; bind the ClusterRole "
        raise Unusable(f"{message}system:service-account-issuer-discovery to the gateway's account")
    return answer.body


async def _place(client: httpx2.AsyncClient, issuer: Issuer) -> str:
    """Return where an issuer's keys are."""
    if issuer.jwks_uri:
        return issuer.jwks_uri
    known = _parsed(await _fetched(client, issuer.url.rstrip("/") + DISCOVERY))
    _agree(known, issuer)
    place = known.get("jwks_uri")
    same = isinstance(place, str) and is_safe(place)
    if not same or urlsplit(str(place)).scheme != urlsplit(issuer.url).scheme:
        raise Unusable(f"its jwks_uri {place!r} is no https URL")
    return str(place)


def _agree(known: Mapping[str, Any], issuer: Issuer) -> None:
    if known.get("issuer") != issuer.url:
        raise Unusable(f"it calls itself {known.get('issuer')!r}: correct gateway.oidc's `issuer`")


async def _fetched(client: httpx2.AsyncClient, url: str) -> bytes:
    """Return what a URL answers; raises Unusable when that is too much or no success."""
    plain = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with client.stream("GET", url, headers=plain) as answer:
        if answer.status_code != 200:
            raise Unusable(f"{url} answers {answer.status_code}")
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise Unusable(f"{url} answers compressed, though it was asked not to")
        body = bytearray()
        async for part in answer.aiter_raw(65_536):
            body += part
            if len(body) > LARGEST:
                raise Unusable(f"{url} answers with more than {LARGEST} bytes")
    return bytes(body)
