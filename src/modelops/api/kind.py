"""A kind of the API as data: its names, its spec's type, its printer columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelops.api.parts import ServingSpec


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0


def _condition(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


SERVING_COLUMNS: Final = (
    Column("Model", ".spec.model.uri"),
    Column("Runtime", ".status.runtime"),
    Column("Ready", _condition("status")),
    Column("Reason", _condition("reason")),
    Column("URL", ".status.url"),
    Column("Age", ".metadata.creationTimestamp", "date"),
    Column("Message", _condition("message"), priority=1),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: everything that tells it from the others."""

    name: str
    plural: str
    short_name: str
    description: str
    spec: type[ServingSpec]
    columns: tuple[Column, ...] = SERVING_COLUMNS

    @property
    def singular(self) -> str:
        """The kind's name in lower case, as `kubectl get` takes it."""
        return self.name.lower()

    def parse(self, resource: Mapping[str, Any]) -> ServingSpec:
        """Return the spec of a resource; raises pydantic's ValidationError."""
        return self.spec.model_validate(resource.get("spec", {}))
