"""The kinds that tell how models may be used, one module each; no pod comes of them."""

from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Final

from modelops.api.kind import Kind

_FOUND = (import_module(f"{__name__}.{module.name}").KIND for module in iter_modules(__path__))
POLICIES: Final = MappingProxyType({kind.name: kind for kind in _FOUND if isinstance(kind, Kind)})
"""Every policy by its name."""
