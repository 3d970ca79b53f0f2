"""What the gateway serves at one moment, and how it is set up: the input of its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ISSUER: Final = "modelops"
AUDIENCE: Final = "modelops-gateway"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where one replica of a model answers."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Model:
    """One model: the name that clients send, the object it comes from, where it answers.

    ``created`` is the object's age in seconds since the epoch.
    """

    served_name: str
    namespace: str
    name: str
    created: int = 0
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def cluster(self) -> str:
        """The name that Envoy's configuration and metrics use."""
        return f"{self.namespace}.{self.name}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that changes while the gateway runs.

    ``public_keys`` are the JWKs that sign API keys; ``revoked`` holds ids of API keys;
    ``key_limits`` holds every number of requests per minute that a key may carry.
    """

    models: tuple[Model, ...] = ()
    public_keys: tuple[Mapping[str, Any], ...] = ()
    revoked: frozenset[str] = frozenset()
    key_limits: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the certificate's folder is mounted: ``tls.crt`` and ``tls.key``."""

    folder: str


@dataclass(frozen=True, slots=True)
class Front:
    """What is fixed while a gateway runs: addresses, ports, sizes in bytes, times in seconds.

    ``folder`` holds the files that Envoy reads; ``tenant_limit`` is the number of requests per
    minute of one tenant (0: no limit).
    """

    folder: str
    address: str = "0.0.0.0"
    port: int = 8080
    admin_port: int = 9901
    metrics_port: int = 9902
    issuer: str = ISSUER
    largest_body: int = 32 * 1024 * 1024
    headers_seconds: int = 10
    upload_seconds: int = 120
    silent_seconds: int = 3600
    tenant_limit: int = 0
    tls: Tls | None = field(default=None)
