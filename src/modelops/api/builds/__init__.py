"""The kinds that make artifacts, one module each; a new module with a ``KIND`` is a new kind."""

from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Final

from modelops.api.kind import Kind

_FOUND = (import_module(f"{__name__}.{module.name}").KIND for module in iter_modules(__path__))
BUILDS: Final = MappingProxyType({kind.name: kind for kind in _FOUND if isinstance(kind, Kind)})
"""Every kind that makes artifacts by its name."""
