"""The kinds that serve models: what each of them has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from pydantic import JsonValue

from modelops.api.base import ApiModel, rule
from modelops.api.kind import AGE, READINESS, Column, Kind
from modelops.api.naming import NAME_HELP, NAME_LENGTH, NAME_PATTERN
from modelops.api.parts import ServingSpec
from modelops.api.status import ServingStatus

COLUMNS: Final = (
    Column("Model", ".spec.model.uri"),
    Column("Runtime", ".status.runtime"),
    *READINESS,
    Column("URL", ".status.url"),
    *AGE,
)
SCALE: Final = MappingProxyType(
    {
        "specReplicasPath": ".spec.scaling.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
)
NAME_RULE: Final = rule(
    f"self.metadata.name.size() <= {NAME_LENGTH} && self.metadata.name.matches('{NAME_PATTERN}')",
    NAME_HELP,
)


@dataclass(frozen=True, slots=True)
class ServingKind(Kind):
    """A kind whose objects are models: the operator makes pods of them."""

    spec: type[ServingSpec]
    status: type[ApiModel] = ServingStatus
    columns: tuple[Column, ...] = COLUMNS
    rules: tuple[Mapping[str, JsonValue], ...] = (NAME_RULE,)
    scale: Mapping[str, str] = field(default_factory=lambda: SCALE)
    jobs: bool = False
    """Whether what its objects are asked for are jobs, which wait in a queue."""

    def parse(self, resource: Mapping[str, Any]) -> ServingSpec:
        """Return the spec of a resource; raises pydantic's ValidationError."""
        return self.spec.model_validate(resource.get("spec", {}))
