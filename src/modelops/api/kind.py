"""A kind of the API as data: its names, its spec's type, its printer columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import JsonValue

from modelops.api.base import ApiModel


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0


def condition_path(field: str) -> str:
    """Return where a field of the condition Ready stands."""
    return f'.status.conditions[?(@.type=="Ready")].{field}'


READINESS: Final = (
    Column("Ready", condition_path("status")),
    Column("Reason", condition_path("reason")),
)
AGE: Final = (
    Column("Age", ".metadata.creationTimestamp", "date"),
    Column("Message", condition_path("message"), priority=1),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: everything that tells it from the others.

    ``scale`` are the paths of its subresource `scale`, if it has one; ``rules`` are the CEL rules
    of the whole object.
    """

    name: str
    plural: str
    short_name: str
    description: str
    spec: type[ApiModel]
    status: type[ApiModel]
    columns: tuple[Column, ...]
    rules: tuple[Mapping[str, JsonValue], ...] = ()
    scale: Mapping[str, str] = field(default_factory=dict)

    @property
    def singular(self) -> str:
        """The kind's name in lower case, as `kubectl get` takes it."""
        return self.name.lower()

    def called(self, word: str) -> bool:
        """Tell whether `kubectl get` takes a word for this kind."""
        return word.lower() in {self.singular, self.plural, self.short_name}

    def parse(self, resource: Mapping[str, Any]) -> ApiModel:
        """Return the spec of a resource; raises pydantic's ValidationError."""
        return self.spec.model_validate(resource.get("spec", {}))
