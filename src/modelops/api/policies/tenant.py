"""Tenant: what the keys of one team or customer may use, and how much of it."""

from typing import Annotated, Final, Literal

from pydantic import Field

from modelops.api.base import ApiModel, rule, rules
from modelops.api.kind import AGE, READINESS, Column, Kind
from modelops.api.status import Status

MOST: Final = 2**31 - 1
NAME_HELP: Final = (
    "the name is what `modelops key create --tenant` takes: at most 63 lower-case letters, digits "
    "and '-'"
)
Grant = Annotated[str, Field(min_length=1, max_length=255)]
Namespace = Annotated[str, Field(min_length=1, max_length=63)]
Priority = Literal["High", "Standard", "Low"]


class Limits(ApiModel):
    """What all keys of a tenant together may use at most."""

    requests_per_minute: int | None = Field(
        None, ge=1, le=MOST, description="Requests a minute. Without it there is no such limit."
    )
    tokens_per_minute: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="Tokens a minute, of prompts and answers. Without it there is no such limit.",
    )
    concurrent_requests: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="Requests in flight at a time. Without it there is no such limit.",
    )


class TenantSpec(ApiModel):
    """The spec of a Tenant."""

    model_config = rules(
        rule(
            "!has(self.models) || self.models.all(m, m.matches('^[^*\\\\s]*[*]?$'))",
            "models are names such as llama-8b, beginnings such as 'llama*', or '*' for all",
        ),
    )

    limits: Limits = Field(
        default_factory=Limits,
        description="What all keys of the tenant together may use at most; a key's own limits "
        "count besides.",
    )
    models: Annotated[list[Grant], Field(max_length=256)] | None = Field(
        None,
        description="Models that the tenant may use, by the names that clients send: names, or "
        "beginnings that end with a star. A key may use what both it and its tenant name. "
        "Without it all that the key names; an empty list is none.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    namespaces: Annotated[list[Namespace], Field(max_length=256)] | None = Field(
        None,
        description="Namespaces whose models the tenant may use. Without it all; an empty list is "
        "none.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    priority: Priority = Field(
        "Standard",
        description="Whose requests come first when a model has more to do than it can.",
    )


KIND: Final = Kind(
    name="Tenant",
    plural="tenants",
    short_name="tn",
    description="Tenant says what the API keys of one team or customer may use, and how much of "
    "it. Its name is the tenant of the keys; it counts in the platform's own namespace only.",
    spec=TenantSpec,
    status=Status,
    columns=(
        Column("Priority", ".spec.priority"),
        Column("Requests/min", ".spec.limits.requestsPerMinute", "integer"),
        Column("Tokens/min", ".spec.limits.tokensPerMinute", "integer"),
        *READINESS,
        *AGE,
    ),
    rules=(
        rule(
            "self.metadata.name.size() <= 63 && "
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            NAME_HELP,
        ),
    ),
)
