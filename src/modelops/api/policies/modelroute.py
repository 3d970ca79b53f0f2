"""ModelRoute: a name that clients send, and which models answer to it."""

from typing import Annotated, Final

from pydantic import Field

from modelops.api.base import ApiModel, rule, rules
from modelops.api.kind import AGE, READINESS, Column, Kind
from modelops.api.naming import SERVED_NAME, SERVED_NAME_HELP
from modelops.api.status import Status

ObjectName = Annotated[str, Field(min_length=1, max_length=63)]


class Target(ApiModel):
    """One of the models that share a route's requests."""

    model: ObjectName = Field(description="Name of the model's object, in the same namespace.")
    weight: int = Field(
        1,
        ge=0,
        le=1000,
        description="Its share of the requests, in proportion to the other weights. 0 is none.",
    )


class ModelRouteSpec(ApiModel):
    """The spec of a ModelRoute."""

    model_config = rules(
        rule(
            f"!has(self.modelName) || self.modelName.matches('{SERVED_NAME}')",
            f"modelName is {SERVED_NAME_HELP}",
        ),
        rule(
            "self.targets.exists(t, t.weight > 0)",
            "no target has a share: give at least one a weight above 0",
        ),
    )

    model_name: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="The name that clients send as `model`. Defaults to the object's own name.",
    )
    targets: Annotated[list[Target], Field(min_length=1, max_length=16)] = Field(
        description="Models that answer, each its share of the requests.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["model"],
        },
    )
    fallback: Annotated[list[ObjectName], Field(max_length=8)] = Field(
        default_factory=list,
        description="Names of models' objects that answer, the first that can, when no replica "
        "of the target that was chosen can be reached.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class ModelRouteStatus(Status):
    """What the operator saw of a ModelRoute when it last looked."""

    model: str | None = Field(None, description="The name that clients send as `model`.")


KIND: Final = Kind(
    name="ModelRoute",
    plural="modelroutes",
    short_name="mr",
    description="ModelRoute gives models one more name: an alias, a group that shares requests by "
    "weight, or a chain in which the next model answers when one cannot.",
    spec=ModelRouteSpec,
    status=ModelRouteStatus,
    columns=(Column("Model", ".status.model"), *READINESS, *AGE),
)
