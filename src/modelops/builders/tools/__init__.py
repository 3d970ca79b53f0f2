"""The builders, one module each; a new module with a ``BUILDER`` is a new builder."""

from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Final

from modelops.builders.builder import Builder

_FOUND = (import_module(f"{__name__}.{module.name}").BUILDER for module in iter_modules(__path__))
BUILDERS: Final = MappingProxyType({b.name: b for b in _FOUND if isinstance(b, Builder)})
"""Every builder by its name."""

METHODS: Final = MappingProxyType(
    {method: name for name, builder in BUILDERS.items() for method in builder.methods}
)
"""The builder of each method, by the method's name: no two builders share one."""
