"""The runtimes, one module each; a new module with a ``RUNTIME`` is a new runtime."""

from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Final

from modelops.runtimes.runtime import Runtime

_FOUND = (import_module(f"{__name__}.{module.name}").RUNTIME for module in iter_modules(__path__))
RUNTIMES: Final = MappingProxyType({r.name: r for r in _FOUND if isinstance(r, Runtime)})
"""Every runtime by its name."""
