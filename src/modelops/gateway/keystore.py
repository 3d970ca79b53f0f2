"""Where API keys are remembered: ConfigMaps, and one Secret with the key that signs them.

A gateway reads the ConfigMaps and never the Secret.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from modelops.cluster import Cluster, Conflict, NotFound
from modelops.gateway.keys import KeyRecord, SigningKey
from modelops.gateway.observed import API_KEY, SIGNING_KEY, Standing, digest, standing
from modelops.sync.observed import Ref

SECRET: Final = "modelops-signing-key"  # noqa: S105  the name of the Secret
FIELD: Final = "key.json"
MANAGER: Final = "modelops-cli"
GRACE: Final = timedelta(minutes=5)
"""Clocks differ, and a revoked key must never come back to life."""


class UnknownKey(LookupError):
    """No API key with that id is remembered."""


@dataclass(frozen=True, slots=True)
class KeyStore:
    """The API keys of one platform. Everything raises ClusterError when the cluster refuses."""

    cluster: Cluster
    namespace: str

    async def signing_key(self) -> SigningKey:
        """Return the key that signs, made at the first call; gateways know its public half."""
        try:
            key = await self._read()
        except NotFound:
            with suppress(Conflict):  # someone else was first
                await self.cluster.create(self._secret(SigningKey.generate()))
            key = await self._read()
        await self._announce(key)
        return key

    async def rotate(self) -> SigningKey:
        """Sign with a new key from now on; API keys signed before stay valid."""
        await self.signing_key()
        key = SigningKey.generate()
        await self._announce(key)
        await self.cluster.apply(self._secret(key), MANAGER)
        return key

    async def forget_old_signing_keys(self) -> int:
        """Make every API key that an earlier signing key signed invalid; return their number."""
        current = self._public(await self.signing_key())["metadata"]["name"]
        listed = await self.cluster.list("v1", "ConfigMap", self.namespace, SIGNING_KEY)
        old = [item for item in listed if item["metadata"]["name"] != current]
        for item in old:
            await self.cluster.delete(Ref.of(item), item["metadata"]["uid"])
        return len(old)

    async def add(self, record: KeyRecord) -> str:
        """Remember a new API key and return the key itself, which is kept nowhere."""
        signing = await self.signing_key()
        await self.cluster.create(self._config_map(_name(record.id), API_KEY, _data(record)))
        return signing.sign(record)

    async def list(self) -> list[Standing]:
        """Return what is remembered of every API key, oldest first."""
        listed = await self.cluster.list("v1", "ConfigMap", self.namespace, API_KEY)
        found = (standing(item) for item in listed)
        return sorted(found, key=lambda s: (s.record.created if s.record else 0, s.id))

    async def revoke(self, identity: str) -> None:
        """Have an API key, or `ISSUER:SUBJECT`, refused from now on; raises UnknownKey."""
        if ":" in identity:
            with suppress(Conflict):  # it is refused already
                await self.cluster.create(self._refused(identity))
            return
        ref = Ref("v1", "ConfigMap", self.namespace, _name(identity))
        try:
            before = await self.cluster.get(ref)
        except NotFound as error:
            raise UnknownKey(identity) from error
        data = {**(before.get("data") or {}), "revoked": "true"}
        await self.cluster.replace({**before, "data": data})

    async def restore(self, subject: str) -> None:
        """Take a subject's tokens again; raises UnknownKey when they were not refused."""
        try:
            found = await self.cluster.get(Ref.of(self._refused(subject)))
            await self.cluster.delete(Ref.of(found), found["metadata"]["uid"])
        except NotFound as error:
            raise UnknownKey(subject) from error

    async def prune(self, now: datetime) -> int:
        """Forget the keys that ended long enough ago that no gateway takes them; return how many.

        A record that cannot be read stays: it keeps its key refused.
        """
        listed = await self.cluster.list("v1", "ConfigMap", self.namespace, API_KEY)
        ended = [item for item in listed if _ended(standing(item), now - GRACE)]
        for item in ended:
            with suppress(NotFound):  # someone else was first
                await self.cluster.delete(Ref.of(item), item["metadata"]["uid"])
        return len(ended)

    async def _read(self) -> SigningKey:
        found = await self.cluster.get(Ref("v1", "Secret", self.namespace, SECRET))
        return SigningKey.parse(b64decode(found["data"][FIELD]).decode())

    async def _announce(self, key: SigningKey) -> None:
        await self.cluster.apply(self._public(key), MANAGER)

    def _secret(self, key: SigningKey) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": self.namespace},
            "data": {FIELD: b64encode(key.private.encode()).decode()},
        }

    def _public(self, key: SigningKey) -> dict[str, Any]:
        data = {"jwk": json.dumps(dict(key.public), sort_keys=True)}
        return self._config_map(f"signing-key-{digest(key.id)}", SIGNING_KEY, data)

    def _refused(self, subject: str) -> dict[str, Any]:
        return self._config_map(_name(digest(subject)), API_KEY, {"subject": subject})

    def _config_map(
        self, name: str, labels: Mapping[str, str], data: Mapping[str, str]
    ) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self.namespace, "labels": dict(labels)},
            "data": dict(data),
        }


def _ended(known: Standing, now: datetime) -> bool:
    return known.record is not None and known.record.expired(now)


def _name(identity: str) -> str:
    return f"api-key-{identity}"


def _data(record: KeyRecord) -> dict[str, str]:
    return {"record": record.text()}
