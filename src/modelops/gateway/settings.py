"""What the gateway takes from its environment: variables that begin with MODELOPS_GATEWAY_."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from modelops.gateway.snapshot import Collector, Front, Tls
from modelops.setting import Names, Port


class Settings(BaseSettings):
    """The gateway's settings; each field is the variable MODELOPS_GATEWAY_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="MODELOPS_GATEWAY_", frozen=True, extra="ignore")

    folder: str = Field("/config", min_length=1, description="Where Envoy's files are written.")
    system_namespace: str = Field("modelops-system", description="Where API keys are remembered.")
    namespaces: Names = Field(
        (), description="Namespaces whose models are served, separated by commas; empty: all."
    )
    port: Port = 8080
    admin_port: Port = 9901
    envoy_metrics_port: Port = 9902
    metrics_port: Port = 9903
    limiter_port: Port = 9904
    redis_url: str = Field(
        "", description="Where requests are counted for all replicas; empty: each by itself."
    )
    requests_per_replica: int = Field(
        256, ge=0, description="Requests at a time of a replica that does not say; 0: any number."
    )
    on_failure: Literal["Open", "Closed"] = Field(
        "Open", description="Whether requests pass while their limits cannot be looked up."
    )
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
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def front(self) -> Front:
        """How Envoy is set up."""
        return Front(
            folder=self.folder,
            port=self.port,
            admin_port=self.admin_port,
            metrics_port=self.envoy_metrics_port,
            limiter_port=self.limiter_port,
            open_on_failure=self.on_failure == "Open",
            largest_body=self.largest_body,
            tenant_limit=self.tenant_limit,
            memory=self.memory,
            tls=Tls(self.tls_folder) if self.tls_folder else None,
            collector=self._collector,
        )

    @property
    def _collector(self) -> Collector | None:
        if not self.collector:
            return None
        host, _, port = self.collector.removeprefix("http://").partition(":")
        return Collector(host, int(port), self.traced_percent)
