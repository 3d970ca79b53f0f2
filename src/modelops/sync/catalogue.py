"""What the platform offers: its kinds, its runtimes, its images and its defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelops.api.builds import BUILDS
from modelops.api.kind import Kind
from modelops.api.kinds import KINDS
from modelops.api.serving import ServingKind
from modelops.runtimes.engines import RUNTIMES
from modelops.runtimes.runtime import Runtime
from modelops.sync.observed import ATTACHING_TYPES, KEDA_TYPES, ChildType


@dataclass(frozen=True, slots=True)
class GatewayApi:
    """The Gateway of somebody else that models are attached to, by the Gateway API.

    ``parents`` are the references that an HTTPRoute carries; without one nothing is attached, and
    what was is taken away. ``picker`` is the Service of the endpoint picker that an InferencePool
    must name (empty: the model's name and ``-epp``), ``picker_port`` its port; ``failure_mode``
    says what happens without it.
    """

    parents: tuple[Mapping[str, Any], ...] = ()
    picker: str = ""
    picker_port: int = 9002
    failure_mode: Literal["FailOpen", "FailClose"] = "FailOpen"


@dataclass(frozen=True, slots=True)
class Jobs:
    """Where jobs wait and what they make is kept, as the workers in models' pods reach it.

    The secrets are names of Secrets in each model's own namespace: with the keys ``password``,
    ``username``, ``ca.crt``, ``tls.crt`` and ``tls.key`` for Redis, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY for S3; empty where none is needed. ``public_url`` is where all can read
    the bucket.
    """

    redis_url: str
    s3_bucket: str
    redis_secret: str = ""
    s3_endpoint: str = ""
    s3_secret: str = ""
    public_url: str = ""


@dataclass(frozen=True, slots=True)
class Platform:
    """The defaults that the operator's settings give.

    ``images`` maps an image's name to its reference; ``accelerator`` is the extended resource
    that a model takes one of when it does not say (None: models run on CPU); ``callers`` are the
    NetworkPolicy peers that may reach models (none: everyone); ``gateway_api`` is None where
    nobody wants models attached to another gateway; ``scaler`` is where KEDA asks how many replicas
    a model needs (HOST:PORT; empty: nobody measures that).
    """

    images: Mapping[str, str] = field(default_factory=dict)
    accelerator: str | None = None
    cache_size: str = "50Gi"
    cache_storage_class: str | None = None
    cluster_domain: str = "cluster.local"
    callers: tuple[Mapping[str, Any], ...] = ()
    gateway_api: GatewayApi | None = None
    scaler: str = ""
    jobs: Jobs | None = None
    """None where no jobs are done."""
    build_priority_class: str | None = None
    build_queue: str | None = None
    """The queue of Kueue in which builds wait for their turn; None where they do not."""

    @property
    def optional(self) -> tuple[ChildType, ...]:
        """The optional types of children that are looked for at all."""
        attaching = ATTACHING_TYPES if self.gateway_api else ()
        return (*attaching, *(KEDA_TYPES if self.scaler else ()))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Kinds and runtimes by name, and the platform's defaults; ``builds`` make artifacts."""

    kinds: Mapping[str, ServingKind] = field(default_factory=lambda: KINDS)
    runtimes: Mapping[str, Runtime] = field(default_factory=lambda: RUNTIMES)
    platform: Platform = field(default_factory=Platform)
    builds: Mapping[str, Kind] = field(default_factory=lambda: BUILDS)

    @property
    def looked_at(self) -> Mapping[str, Kind]:
        """The kinds whose objects passes look at, one by one."""
        return {**self.kinds, **self.builds}

    def serving(self, kind: ServingKind) -> tuple[Runtime, ...]:
        """Return the runtimes that serve a kind, in order of name."""
        return tuple(r for _, r in sorted(self.runtimes.items()) if kind.name in r.kinds)
