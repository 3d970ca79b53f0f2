"""Of whom a request is, and which limits it stands under (pure)."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from modelops.gateway.limiter.queue import WEIGHTS
from modelops.gateway.quota import share
from modelops.gateway.snapshot import Contended, Model, Snapshot, Tenant

What = Literal["requests", "tokens", "parallel"]
Scope = Literal["key", "tenant"]


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that one key or tenant may have: a minute, or at a time for ``parallel``.

    ``share`` is what a gateway pod has passed by itself before it asks for the first time.
    """

    what: What
    scope: Scope
    id: str
    most: int
    share: int = 0

    @property
    def address(self) -> str:
        """Where the count is kept, the same for every gateway pod."""
        return f"modelops:{self.what}:{self.scope}:{self.id}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Of whom a request is, as its API key says; None is no limit of the key's own."""

    key: str = ""
    tenant: str = ""
    requests: int | None = None
    tokens: int | None = None
    parallel: int | None = None
    priority: str = ""

    @classmethod
    def read(cls, entries: Mapping[str, str]) -> Self:
        """Return the caller whom a key's claims name; a number that is none counts as no limit."""
        return cls(
            key=entries.get("jti", ""),
            tenant=entries.get("sub", ""),
            requests=_number(entries.get("rpm")),
            tokens=_number(entries.get("tpm")),
            parallel=_number(entries.get("parallel")),
            priority=entries.get("priority", ""),
        )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


@dataclass(frozen=True, slots=True)
class Book:
    """What the platform says of its tenants; ``default`` is the requests of one without words."""

    tenants: Mapping[str, Tenant]
    default: int = 0
    key_tokens: Mapping[str, int] = field(default_factory=dict)
    """Tokens per minute of keys that have such a limit."""
    models: Mapping[str, Model] = field(default_factory=dict)
    """By their clusters."""
    replica: int = 0
    """Requests that a replica works on at a time where nothing else says so; 0: any number."""

    @classmethod
    def of(cls, snapshot: Snapshot, default: int, replica: int) -> Self:
        """Return the book of what the platform says now."""
        tenants = {t.name: t for t in snapshot.tenants}
        models = {m.cluster: m for m in snapshot.models}
        return cls(tenants, default, snapshot.key_tokens, models, replica)

    def room(self, cluster: str, pods: int) -> int:
        """Return how many requests of a model may run at one of these pods; 0: any number."""
        model = self.models.get(cluster)
        if not model or not model.endpoints:
            return 0
        return math.ceil((model.capacity or self.replica) * len(model.endpoints) / max(1, pods))

    def weight(self, caller: Caller) -> int:
        """Return the weight of a caller's priority: the key's own, else its tenant's."""
        known = self.tenants.get(caller.tenant)
        own = WEIGHTS.get(caller.priority.lower())
        return own or WEIGHTS[known.priority.lower() if known else "standard"]

    @property
    def counts_tokens(self) -> bool:
        """Whether anybody's tokens are limited."""
        return bool(self.key_tokens) or any(t.tokens_per_minute for t in self.tenants.values())

    def tokens(self, key: str, tenant: str) -> Iterator[Limit]:
        """Yield the limits under which tokens of this key and tenant count."""
        if (most := self.key_tokens.get(key)) is not None:
            yield Limit("tokens", "key", key, most)
        known = self.tenants.get(tenant)
        if known and known.tokens_per_minute is not None:
            yield Limit("tokens", "tenant", tenant, known.tokens_per_minute)

    def limits(self, caller: Caller) -> tuple[Limit, ...]:
        """Return all limits of a caller, those of the key first."""
        known = self.tenants.get(caller.tenant)
        tenant = known or Tenant(caller.tenant, requests_per_minute=self.default or None)
        of_key = (caller.requests, caller.tokens, caller.parallel)
        of_tenant = (
            tenant.requests_per_minute, tenant.tokens_per_minute, tenant.concurrent_requests
        )  # fmt: skip
        return (
            *_limits("key", caller.key, of_key),
            *_limits("tenant", caller.tenant, of_tenant),
        )


def _limits(scope: Scope, name: str, most: tuple[int | None, ...]) -> Iterable[Limit]:
    if not name:
        return
    requests, tokens, parallel = most
    if requests is not None:
        yield Limit("requests", scope, name, requests, share(requests))
    if tokens is not None:
        yield Limit("tokens", scope, name, tokens)
    if parallel is not None:
        yield Limit("parallel", scope, name, parallel)


def contended(addresses: Iterable[str]) -> Contended:
    """Return whose limits these are."""
    parts = [address.split(":", 3)[2:] for address in addresses]
    return Contended(
        keys=frozenset(name for scope, name in parts if scope == "key"),
        tenants=frozenset(name for scope, name in parts if scope == "tenant"),
    )
