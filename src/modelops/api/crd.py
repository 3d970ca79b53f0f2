"""From a kind to its CustomResourceDefinition."""

import re
from typing import Any, Final

from modelops.api.base import GROUP, VERSION, rule
from modelops.api.kind import Column, Kind
from modelops.api.schema import structural
from modelops.api.status import ServingStatus

NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_LENGTH: Final = 50
"""Children append up to 13 characters, and a Service's name has at most 63."""

NAME_HELP: Final = (
    f"the name becomes a Service's name: at most {NAME_LENGTH} characters, lower-case letters, "
    "digits and '-', starting with a letter"
)

_NAME_RULE: Final = rule(
    f"self.metadata.name.size() <= {NAME_LENGTH} && self.metadata.name.matches('{NAME_PATTERN}')",
    NAME_HELP,
)


def named(name: str) -> bool:
    """Tell whether an object may have that name."""
    return len(name) <= NAME_LENGTH and bool(re.fullmatch(NAME_PATTERN, name))


def crd(kind: Kind) -> dict[str, Any]:
    """Return the kind's CRD manifest, as `crds/` and the chart carry it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": ["modelops"],
            },
            "scope": "Namespaced",
            "versions": [_version(kind)],
        },
    }


def _version(kind: Kind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.scaling.minReplicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": _root(kind)},
    }


def _root(kind: Kind) -> dict[str, Any]:
    return {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "x-kubernetes-validations": [_NAME_RULE],
        "properties": {
            "apiVersion": {"type": "string", "description": "modelops.dev/v1alpha1."},
            "kind": {"type": "string", "description": f"{kind.name}."},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec) | {"description": f"What the {kind.name} shall be."},
            "status": structural(ServingStatus)
            | {
                "description": "What the operator saw when it last looked.",
                "default": {"observedGeneration": -1},
            },
        },
    }


def _column(column: Column) -> dict[str, Any]:
    optional = {"priority": column.priority} if column.priority else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.json_path, **optional}
