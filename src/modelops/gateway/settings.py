"""What the gateway takes from its environment: variables that begin with MODELOPS_GATEWAY_."""

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from modelops.gateway.activator.places import Bounds
from modelops.gateway.grants import GRANT
from modelops.gateway.oidc import is_safe
from modelops.gateway.snapshot import AccessLog, Collector, Front, Issuer, Tls
from modelops.jobs.queue import Terms
from modelops.jobs.store import Bucket
from modelops.redis import Address
from modelops.setting import Names, Port

PREFIX: Final = "MODELOPS_GATEWAY_"
HIDDEN: Final = ("redis_url", "jobs_redis_url", "jobs_webhook_key")
"""The settings that may hold a password."""

CA_FOLDER: Final = "/oidc"
"""Where the chart mounts the certificates of issuers' authorities."""


class Provider(BaseModel):
    """One issuer, as the chart's `gateway.oidc` writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$")
    issuer: str
    audiences: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    tenant_claim: str = Field("sub", min_length=1)
    tenant_prefix: str | None = None
    models_claim: str | None = Field(None, min_length=1)
    models: tuple[Annotated[str, Field(pattern=rf"^({GRANT.pattern})$")], ...] = ("*",)
    jwks_uri: str | None = None
    ca_secret: str | None = None
    in_cluster: bool = False

    @field_validator("issuer", "jwks_uri")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        if value is not None and not is_safe(value):
            raise ValueError("not an https URL without query; http is for this machine only")
        return value

    @property
    def trusted(self) -> Issuer:
        """The issuer as the gateway knows it."""
        return Issuer(
            name=self.name,
            url=self.issuer,
            audiences=self.audiences,
            tenant_claim=self.tenant_claim,
            models_claim=self.models_claim,
            models=self.models,
            tenant_prefix=self.tenant_prefix,
            jwks_uri=self.jwks_uri,
            ca_file=f"{CA_FOLDER}/{self.name}/ca.crt" if self.ca_secret else None,
            in_cluster=self.in_cluster,
        )


def _parsed(value: Any) -> Any:
    """Return the list that a text holds; raises ValueError when two of it cannot be told apart."""
    try:
        listed = json.loads(value) if isinstance(value, str) and value else value or ()
    except ValueError as error:
        message = f"not JSON: {error}"
        raise ValueError(message) from error
    if not isinstance(listed, list | tuple):
        raise ValueError("not a list")  # noqa: TRY004  pydantic reports ValueError
    for field in ("name", "issuer"):
        told = [each.get(field) for each in listed if isinstance(each, dict)]
        if len({*map(str, told)}) != len(told):
            message = f"two issuers have the same {field}"
            raise ValueError(message)
    return listed


def _redis(url: str, folder: str) -> Address | None:
    return Address(url, Path(folder) if folder else None) if url else None


class Settings(BaseSettings):
    """The gateway's settings; each field is the variable MODELOPS_GATEWAY_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    folder: str = Field("/config", min_length=1, description="Where Envoy's files are written.")
    system_namespace: str = Field("modelops-system", description="Where API keys are remembered.")
    namespaces: Names = Field(
        (), description="Namespaces whose models are served, separated by commas; empty: all."
    )
    bind_address: str = Field("0.0.0.0", min_length=1, description="Where all ports are opened.")
    port: Port = 8080
    admin_port: Port = 9901
    envoy_metrics_port: Port = 9902
    metrics_port: Port = 9903
    limiter_port: Port = 9904
    scaler_port: Port = 9905
    demand_port: Port = 9906
    peers: str = Field(
        "modelops-gateway-pods",
        description="Headless Service of the gateway's pods; empty: this one is alone.",
    )
    pod_ip: str = Field("", description="This pod's address, as that Service lists it.")
    redis_folder: str = Field(
        "", description="Where Redis' password and certificates are mounted; empty: nowhere."
    )
    activator_port: Port = 9907
    jobs_port: Port = 9908
    jobs_redis_url: str = Field("", description="Where the queue of jobs is; empty: nowhere.")
    jobs_redis_folder: str = Field(
        "", description="Where its password and certificates are mounted; empty: nowhere."
    )
    jobs_s3_endpoint: str = Field("", description="Where S3's API is; empty: Amazon's.")
    jobs_s3_bucket: str = Field("", description="Where results of jobs are; empty: nowhere.")
    jobs_s3_signed_endpoint: str = Field(
        "", description="The same endpoint as callers reach it; empty: by the same name."
    )
    jobs_public_url: str = Field(
        "", description="Where all can read the bucket; empty: only by signed URLs."
    )
    jobs_url_seconds: int = Field(3600, ge=1, description="How long a signed URL is good for.")
    jobs_answer_seconds: float = Field(
        30, ge=0, le=300, description="How long images are waited for before 202 is answered."
    )
    jobs_kept_seconds: float = Field(
        86_400, gt=0, description="How long ended jobs are remembered."
    )
    jobs_quota: int = Field(
        1000, ge=0, description="Unfinished jobs of a tenant at most; 0: any number."
    )
    jobs_longest_wait_seconds: float = Field(
        3600, ge=0, description="Jobs that would wait longer are refused; 0: none."
    )
    jobs_webhook_key: str = Field(
        "", description="What tenants' secrets for webhooks are made of; empty: no webhooks."
    )
    jobs_allowed_networks: Names = Field(
        (), description="Networks that webhooks may reach though they are not public."
    )
    held_per_model: int = Field(
        1000, ge=0, description="Requests that wait at most for one model at zero to start."
    )
    held_in_all: int = Field(2000, ge=0, description="Requests that wait so at most in all.")
    held_bytes: int = Field(67_108_864, ge=0, description="What those may hold in all; bytes.")
    held_seconds: float = Field(600, gt=0, description="How long one waits at most.")
    heartbeat_seconds: float = Field(
        10, gt=0, description="Who waits for a stream is told so every so many seconds."
    )
    settle_seconds: float = Field(
        5, ge=0, description="How long requests still come after this process is told to go."
    )
    redis_url: str = Field(
        "", description="Where requests are counted for all replicas; empty: each by itself."
    )
    requests_per_replica: int = Field(
        256, ge=0, description="Requests at a time of a replica that does not say; 0: any number."
    )
    on_failure: Literal["Open", "Closed"] = Field(
        "Open", description="Whether requests pass while their limits cannot be looked up."
    )
    access_log: AccessLog = Field("All", description="Which requests the access log has.")
    largest_body: int = Field(33_554_432, ge=1024, description="Largest request; bytes.")
    tenant_limit: int = Field(
        0, ge=0, description="Requests per minute of a tenant without an object; 0: no limit."
    )
    memory: int = Field(0, ge=0, description="What Envoy may take; bytes, 0: all there is.")
    tls_folder: str = Field("", description="Where tls.crt and tls.key are; empty: no TLS.")
    collector: str = Field(
        "",
        pattern=r"^(http://[^/:?#]+:\d{1,5})?$",
        description="Where OTLP is taken over HTTP: http://HOST:PORT; empty: nowhere.",
    )
    traced_percent: float = Field(
        0, ge=0, le=100, description="Share of requests that are traced without being asked to."
    )
    oidc: Annotated[tuple[Provider, ...], NoDecode, BeforeValidator(_parsed)] = Field(
        (), description="Other issuers whose tokens are taken, as a JSON list."
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("redis_url")
    @classmethod
    def _checked(cls, url: str, info: ValidationInfo) -> str:
        if found := _redis(url, info.data.get("redis_folder", "")):
            found.check()
        return url

    @property
    def redis(self) -> Address | None:
        """Where requests are counted for all replicas."""
        return _redis(self.redis_url, self.redis_folder)

    @property
    def front(self) -> Front:
        """How Envoy is set up."""
        return Front(
            folder=self.folder,
            address=self.bind_address,
            port=self.port,
            admin_port=self.admin_port,
            metrics_port=self.envoy_metrics_port,
            limiter_port=self.limiter_port,
            activator_port=self.activator_port,
            jobs_port=self.jobs_port,
            open_on_failure=self.on_failure == "Open",
            largest_body=self.largest_body,
            access_log=self.access_log,
            tenant_limit=self.tenant_limit,
            memory=self.memory,
            issuers=tuple(each.trusted for each in self.oidc),
            tls=Tls(self.tls_folder) if self.tls_folder else None,
            collector=self._collector,
        )

    @property
    def jobs_redis(self) -> Address | None:
        """Where the queue of jobs is."""
        return _redis(self.jobs_redis_url, self.jobs_redis_folder)

    @property
    def jobs_terms(self) -> Terms:
        """What holds for jobs that are taken."""
        return Terms(
            kept=self.jobs_kept_seconds,
            quota=self.jobs_quota,
            longest=self.jobs_longest_wait_seconds,
        )

    @property
    def jobs_bucket(self) -> Bucket:
        """Where files of jobs are."""
        return Bucket(
            self.jobs_s3_bucket,
            self.jobs_s3_endpoint,
            self.jobs_public_url,
            self.jobs_s3_signed_endpoint,
        )

    @property
    def bounds(self) -> Bounds:
        """What is held for models at zero."""
        return Bounds(
            self.held_per_model,
            self.held_in_all,
            self.held_bytes,
            self.held_seconds,
            self.heartbeat_seconds,
        )

    @property
    def _collector(self) -> Collector | None:
        if not self.collector:
            return None
        host, _, port = self.collector.removeprefix("http://").partition(":")
        return Collector(host, int(port), self.traced_percent)
