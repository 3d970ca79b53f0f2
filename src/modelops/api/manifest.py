"""From a kind to the text of its CRD, as `crds/` and the chart carry it."""

from typing import Any, Final

import yaml

from modelops.api.crd import crd
from modelops.api.kind import Kind

HEADER: Final = "# Generated from src/modelops/api by `modelops crd`; do not edit.\n"


class _Plain(yaml.SafeDumper):
    """YAML without anchors: every part stands where it is read."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  yaml's own signature
        """Tell that no value is written as a reference to an equal one."""
        return True


def crd_yaml(kind: Kind) -> str:
    """Return the kind's CRD as YAML; equal kinds give equal text."""
    body = yaml.dump(crd(kind), Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)
    return HEADER + str(body)
