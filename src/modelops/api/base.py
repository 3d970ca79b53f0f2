"""What every API type shares: camelCase names, no unknown fields, immutability, CEL rules."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

GROUP: Final = "modelops.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"


class ApiModel(BaseModel):
    """One object of the API: frozen, camelCase outside, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


def rule(expression: str, message: str) -> dict[str, JsonValue]:
    """Return one CEL rule as the CRD carries it."""
    return {"rule": expression, "message": message}


def rules(*validations: dict[str, JsonValue]) -> ConfigDict:
    """Return the pydantic configuration that puts CEL rules on a type's schema."""
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": list(validations)})


def _quantity(schema: dict[str, Any]) -> None:
    schema.pop("type", None)
    schema |= {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": QUANTITY_PATTERN,
    }


Quantity = Annotated[
    str,
    Field(coerce_numbers_to_str=True, pattern=QUANTITY_PATTERN, json_schema_extra=_quantity),
]
"""A Kubernetes resource quantity such as ``500m``, ``4`` or ``20Gi``."""

Name = Annotated[str, Field(min_length=1, max_length=253)]


class SecretReference(ApiModel):
    """A Secret in the model's own namespace."""

    name: Name = Field(
        description="Name of the Secret. It is only referenced: the operator never reads it."
    )


class SecretKeyReference(SecretReference):
    """One key of a Secret in the model's own namespace."""

    key: Name = Field(description="The key of the Secret that holds it.")
