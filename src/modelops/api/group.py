"""All kinds of the API group: those that serve, those that make artifacts, and the policies."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from modelops.api.builds import BUILDS
from modelops.api.kind import Kind
from modelops.api.kinds import KINDS
from modelops.api.policies import POLICIES

EVERY_KIND: Final[Mapping[str, Kind]] = MappingProxyType({**KINDS, **BUILDS, **POLICIES})
"""Every kind by its name."""
