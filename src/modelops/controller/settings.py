"""What the operator takes from its environment: variables that begin with MODELOPS_."""

import json
import os
import socket
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from modelops.api.base import QUANTITY_PATTERN
from modelops.setting import Names, Port
from modelops.sync.catalogue import GatewayApi, Jobs, Platform

PREFIX: Final = "MODELOPS_"
IMAGE_PREFIX: Final = f"{PREFIX}IMAGE_"


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class Settings(BaseSettings):
    """The operator's settings; each field is the variable MODELOPS_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    namespaces: Names = Field(
        default=(), description="Namespaces to watch, separated by commas; empty: all of them."
    )
    workers: int = Field(
        default=4, ge=1, le=64, description="How many models are looked at in parallel."
    )
    resync_seconds: float = Field(
        default=300, ge=1, description="Every object is looked at this often even if no event came."
    )
    stuck_seconds: float = Field(
        default=180,
        ge=1,
        description="A pass that takes longer than this fails the liveness probe.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info")
    log_format: Literal["json", "text"] = Field(default="json")
    bind_address: str = Field(default="0.0.0.0", description="Where metrics and health listen.")
    metrics_port: Port = 9090
    health_port: Port = 8081
    lease_namespace: str = Field(default="modelops-system", min_length=1)
    lease_name: str = Field(default="modelops-operator", min_length=1)
    lease_seconds: float = Field(
        default=15,
        ge=2,
        description="A leader that does not renew its lease for so long has lost it.",
    )
    identity: str = Field(
        default_factory=_own_name,
        min_length=1,
        description="Who holds the lease; the pod's name, so that a restarted container has it.",
    )
    accelerator: str | None = Field(
        default=None, description="The extended resource that a model takes one of by default."
    )
    cache_size: str = Field(default="50Gi", pattern=QUANTITY_PATTERN)
    storage_class: str | None = Field(
        default=None, description="Storage class of the models' claims."
    )
    build_priority_class: str | None = Field(
        default=None, description="Priority class of the pods of builds."
    )
    build_queue: str | None = Field(
        default=None, description="The queue of Kueue in which builds wait for their turn."
    )
    cluster_domain: str = Field(default="cluster.local", min_length=1)
    images: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict,
        validate_default=True,
        description="Image references by name, as JSON; MODELOPS_IMAGE_VLLM_CPU sets vllm-cpu.",
    )

    callers: Annotated[tuple[dict[str, Any], ...], NoDecode] = Field(
        default=(),
        description="Who may reach models, as a JSON list of NetworkPolicy peers; empty: everyone.",
    )

    gateway_api: Annotated[GatewayApi | None, NoDecode] = Field(
        default=None,
        description="The Gateway that models are attached to, as JSON; empty: nobody's.",
    )

    scaler: str = Field(
        default="",
        pattern=r"^$|^[^\s:/]+:[0-9]+$",
        description="Where KEDA asks the gateway how many replicas a model needs, as HOST:PORT; "
        "empty: nobody measures that.",
    )
    jobs: Annotated[Jobs | None, NoDecode] = Field(
        default=None,
        description="Where jobs wait and what they make is kept, as JSON; empty: no jobs are done.",
    )
    decisions_url: str = Field(
        default="",
        pattern=r"^$|^https?://",
        description="Where the gateway tells all of that, for the built-in scaler; empty: nowhere.",
    )

    @field_validator("gateway_api", "jobs", mode="before")
    @classmethod
    def _attachment(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) and value else value or None

    @field_validator("callers", mode="before")
    @classmethod
    def _peers(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) and value else value or ()

    @field_validator(
        *("accelerator", "storage_class", "build_priority_class", "build_queue"), mode="before"
    )
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return value or None

    @field_validator("images", mode="before")
    @classmethod
    def _images(cls, value: Any) -> Any:
        return {**_mapping(value), **single_images(os.environ)}

    @property
    def platform(self) -> Platform:
        """The defaults for models."""
        return Platform(
            images=self.images,
            accelerator=self.accelerator,
            cache_size=self.cache_size,
            cache_storage_class=self.storage_class,
            build_priority_class=self.build_priority_class,
            build_queue=self.build_queue,
            cluster_domain=self.cluster_domain,
            callers=self.callers,
            gateway_api=self.gateway_api,
            scaler=self.scaler,
            jobs=self.jobs,
        )


def _mapping(value: Any) -> dict[str, Any]:
    try:
        given = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise ValueError('not a JSON object such as {"vllm-cpu": "registry/vllm-cpu:1"}')  # noqa: TRY004  pydantic reports ValueError
    return given


def single_images(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the images that variables of their own name: MODELOPS_IMAGE_VLLM_CPU -> vllm-cpu."""
    return {
        name.removeprefix(IMAGE_PREFIX).lower().replace("_", "-"): reference
        for name, reference in environ.items()
        if name.startswith(IMAGE_PREFIX) and reference
    }
