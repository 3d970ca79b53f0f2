"""Manifests as the YAML text that people read and files carry."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from modelops.api.crd import crd
from modelops.api.kind import Kind

HEADER: Final = "# Generated from src/modelops/api by `modelops crd`; do not edit.\n"


class _Plain(yaml.SafeDumper):
    """YAML without anchors: every part stands where it is read."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  yaml's own signature
        """Tell that no value is written as a reference to an equal one."""
        return True


def crd_yaml(kind: Kind) -> str:
    """Return the kind's CRD as YAML; equal kinds give equal text."""
    return HEADER + as_yaml([crd(kind)])


def as_yaml(manifests: Iterable[Mapping[str, Any]]) -> str:
    """Return manifests as one YAML text, a document each; equal manifests give equal text."""
    text = yaml.dump_all(manifests, Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)
    return str(text)
