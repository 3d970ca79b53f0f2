"""What the gateway serves at one moment, and how it is set up: the input of its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

from modelops.api.grants import granted
from modelops.scaling.policy import Policy

ISSUER: Final = "modelops"
AUDIENCE: Final = "modelops-gateway"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where one replica of a model answers."""

    address: str
    port: int

    @property
    def url(self) -> str:
        """Where it is asked over HTTP, without a path."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas a model may have, and is asked to have: None where nobody has asked."""

    minimum: int = 1
    maximum: int = 1
    asked: int | None = None
    paused: bool = False
    """Whether the number stays as it is, whatever is asked for."""


State = Literal["ready", "starting", "idle", "stalled", "off"]
"""What callers are told of a model: idle ones start when they are asked something."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model: the name that clients send, the object it comes from, where it answers.

    ``created`` is the object's age in seconds since the epoch; ``session_header`` names what
    keeps requests on one replica, beside their prompt's beginning (None: the least busy one).
    """

    served_name: str
    namespace: str
    name: str
    created: int = 0
    endpoints: tuple[Endpoint, ...] = ()
    session_header: str | None = None
    capacity: int | None = None
    """How many requests one replica works on at a time; None when nothing says so."""
    gated: bool = False
    """Whether its requests are asked about now, since it is saturated."""
    policy: Policy | None = None
    """How it scales; None where there is nothing to decide."""
    asked: int | None = None
    """How many replicas are asked for, or are there as long as nobody has asked."""
    kind: str = ""
    scale: Scale = Scale()
    jobs: bool = False
    """Whether what it is asked for are jobs, and not requests that its engine answers."""
    trouble: str = ""
    """The reason for which it cannot start until somebody helps; empty while there is none."""

    @property
    def cluster(self) -> str:
        """The name that Envoy's configuration and metrics use."""
        return f"{self.namespace}.{self.name}"

    @property
    def address(self) -> str:
        """The name that the queue of jobs and those who scale use."""
        return f"{self.namespace}/{self.name}"

    @property
    def may_rest(self) -> bool:
        """Whether it may have no replica for want of requests, or for being turned off."""
        return self.scale.minimum == 0 or self.scale.maximum == 0

    @property
    def state(self) -> State:
        """What callers are told of it."""
        if self.endpoints:
            return "ready"
        if self.scale.maximum == 0:
            return "off"
        if self.trouble:
            return "stalled"
        wanted = self.scale.minimum or self.scale.asked
        return "starting" if wanted else "idle"


@dataclass(frozen=True, slots=True)
class Target:
    """A model that takes its share of a route's requests: ``weight`` among those of the others."""

    model: Model
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Route:
    """One more name that clients send, and the models that answer to it.

    ``fallback`` are the models that answer, in their order, when the chosen target cannot.
    ``created`` is the object's age in seconds since the epoch.
    """

    served_name: str
    namespace: str
    name: str
    created: int = 0
    targets: tuple[Target, ...] = ()
    fallback: tuple[Model, ...] = ()
    gated: bool = False
    """Whether its requests are asked about now, since one of its models is saturated."""

    @property
    def address(self) -> tuple[str, str]:
        """Namespace and name of the object."""
        return self.namespace, self.name

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model that may answer."""
        return (*(target.model for target in self.targets), *self.fallback)

    @property
    def state(self) -> State:
        """What callers are told of it: the best that one of its models is."""
        states = {model.state for model in self.models}
        return next((state for state in get_args(State) if state in states), "off")


Offer = Model | Route
"""What clients can name."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who keys belong to, where an object says so: what they may use, and how much of it.

    ``models`` are grants and ``namespaces`` names; None is no restriction, and so is None of the
    limits. ``priority`` is whose requests come first when a model has more to do than it can.
    """

    name: str
    models: tuple[str, ...] | None = None
    namespaces: tuple[str, ...] | None = None
    priority: Literal["High", "Standard", "Low"] = "Standard"
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None

    def may_use(self, offer: Offer) -> bool:
        """Tell whether the tenant may use what clients call so."""
        named = self.models is None or granted(offer.served_name, self.models)
        return named and (self.namespaces is None or offer.namespace in self.namespaces)


@dataclass(frozen=True, slots=True)
class Contended:
    """About whose requests the gateway asks now, beside those with exact limits.

    ``keys`` are ids, ``tenants`` names and ``models`` clusters.
    """

    keys: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that changes while the gateway runs.

    ``models`` and ``routes`` are what clients can name, one each name. ``public_keys`` are the
    JWKs that sign API keys; ``revoked`` holds ids of API keys; ``key_limits`` holds every number
    of requests per minute that a key may carry, and ``key_tokens`` the tokens per minute of the
    ids that have such a limit. A tenant without an object is not restricted.
    """

    models: tuple[Model, ...] = ()
    routes: tuple[Route, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    public_keys: tuple[Mapping[str, Any], ...] = ()
    revoked: frozenset[str] = frozenset()
    key_limits: frozenset[int] = frozenset()
    key_tokens: Mapping[str, int] = field(default_factory=dict)
    contended: Contended = Contended()
    issuer_keys: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    """The public JWKs of other issuers, by the issuer's name."""

    @property
    def offers(self) -> tuple[Offer, ...]:
        """What clients can name, in the order of the names."""
        whole: tuple[Offer, ...] = (*self.models, *self.routes)
        named = sorted(whole, key=lambda o: o.served_name)
        busy = self.contended.models
        return tuple(_gated(o) if _led_to(o) & busy else o for o in named)


def _gated(offer: Offer) -> Offer:
    return replace(offer, gated=True)


def _led_to(offer: Offer) -> set[str]:
    models = (offer,) if isinstance(offer, Model) else offer.models
    return {model.cluster for model in models}


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the certificate's folder is mounted: ``tls.crt`` and ``tls.key``."""

    folder: str


@dataclass(frozen=True, slots=True)
class Collector:
    """Where an OpenTelemetry collector takes OTLP over HTTP.

    ``percent`` of the requests whose callers do not say so themselves are traced.
    """

    host: str
    port: int
    percent: float = 0


@dataclass(frozen=True, slots=True)
class Issuer:
    """Someone else whose tokens are taken beside API keys, by OpenID Connect.

    ``tenant_claim`` and ``models_claim`` are claims, or paths to them with slashes; without the
    latter each token opens ``models``. ``tenant_prefix`` stands before what a token says; None is
    the issuer's name and a colon, which no tenant of ours has. The keys are those at ``jwks_uri``
    or that discovery finds, or, ``in_cluster``, those of the API server.
    """

    name: str
    url: str
    audiences: tuple[str, ...]
    tenant_claim: str = "sub"
    models_claim: str | None = None
    models: tuple[str, ...] = ("*",)
    tenant_prefix: str | None = None
    jwks_uri: str | None = None
    ca_file: str | None = None
    in_cluster: bool = False

    @property
    def prefix(self) -> str:
        """What stands before the tenants that its tokens name."""
        return f"{self.name}:" if self.tenant_prefix is None else self.tenant_prefix


AccessLog = Literal["All", "Errors", "Off"]


@dataclass(frozen=True, slots=True)
class Front:
    """What is fixed while a gateway runs: addresses, ports, sizes in bytes, times in seconds.

    ``folder`` holds the files that Envoy reads; ``tenant_limit`` is the number of requests per
    minute of one tenant without an object (0: no limit). ``open_on_failure`` is whether requests
    pass that should be asked about while nobody answers.
    ``memory`` is what Envoy may take (0: all that there is). Errors in the ``access_log`` are also
    answers that broke off.
    """

    folder: str
    address: str = "0.0.0.0"
    port: int = 8080
    admin_port: int = 9901
    metrics_port: int = 9902
    limiter_port: int = 9904
    activator_port: int = 9907
    jobs_port: int = 9908
    open_on_failure: bool = True
    issuer: str = ISSUER
    access_log: AccessLog = "All"
    largest_body: int = 32 * 1024 * 1024
    headers_seconds: int = 10
    upload_seconds: int = 120
    silent_seconds: int = 3600
    tenant_limit: int = 0
    memory: int = 0
    issuers: tuple[Issuer, ...] = ()
    tls: Tls | None = field(default=None)
    collector: Collector | None = field(default=None)
