"""From a kind to its CustomResourceDefinition."""

from typing import Any

from modelops.api.base import GROUP, VERSION
from modelops.api.kind import Column, Kind
from modelops.api.schema import structural


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
        "subresources": {"status": {}, **_scale(kind)},
        "schema": {"openAPIV3Schema": _root(kind)},
    }


def _scale(kind: Kind) -> dict[str, Any]:
    return {"scale": dict(kind.scale)} if kind.scale else {}


def _root(kind: Kind) -> dict[str, Any]:
    rules = {"x-kubernetes-validations": [dict(rule) for rule in kind.rules]} if kind.rules else {}
    return {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        **rules,
        "properties": {
            "apiVersion": {"type": "string", "description": "modelops.dev/v1alpha1."},
            "kind": {"type": "string", "description": f"{kind.name}."},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec) | {"description": f"What the {kind.name} shall be."},
            "status": structural(kind.status)
            | {
                "description": "What the operator saw when it last looked.",
                "default": {"observedGeneration": -1},
            },
        },
    }


def _column(column: Column) -> dict[str, Any]:
    optional = {"priority": column.priority} if column.priority else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.json_path, **optional}
