"""The kinds that serve, one module each; a new module with a ``KIND`` is a new kind."""

from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Final

from modelops.api.serving import ServingKind

_FOUND = (import_module(f"{__name__}.{module.name}").KIND for module in iter_modules(__path__))
KINDS: Final = MappingProxyType({k.name: k for k in _FOUND if isinstance(k, ServingKind)})
"""Every kind that serves by its name."""
