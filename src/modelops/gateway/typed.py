"""Envoy's extensions as JSON: a message that carries its own type."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from orjson import Fragment

Json = dict[str, Any]
PREFIX: Final = "type.googleapis.com/"
FILTERS: Final = "envoy.extensions.filters.http"
STATE: Final = "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"
"""What matchers look a value of the filter state up by."""


def typed(kind: str, /, **fields: Any) -> Json:
    """Return a message of that protobuf type."""
    return {"@type": PREFIX + kind, **fields}


def extension(name: str, kind: str, /, **fields: Any) -> Json:
    """Return a named extension with its configuration."""
    return {"name": name, "typed_config": typed(kind, **fields)}


def metadata(namespace: str, *keys: str) -> Json:
    """Return the address of a value in a request's dynamic metadata."""
    return {"filter": namespace, "path": [{"key": key} for key in keys]}


def file_source(path: str) -> Json:
    """Return a source of configuration that follows a file; it is replaced by renaming."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def discovery(resources: Iterable[Mapping[str, Any] | Fragment]) -> Json:
    """Return the content of such a file."""
    return {"resources": list(resources)}
