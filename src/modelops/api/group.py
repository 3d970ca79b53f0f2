"""All kinds of the API group: those that serve, and the policies."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from modelops.api.kind import Kind
from modelops.api.kinds import KINDS
from modelops.api.policies import POLICIES

EVERY_KIND: Final[Mapping[str, Kind]] = MappingProxyType({**KINDS, **POLICIES})
"""Every kind by its name."""
