"""Reading the objects that a user wrote."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
import yaml

from modelops.api.base import API_VERSION
from modelops.api.serving import ServingKind
from modelops.sync.observed import Observed


def read(path: Path, kinds: Mapping[str, ServingKind], namespace: str) -> list[Observed]:
    """Return the modelops objects of a YAML file ('-' is standard input), as on an empty cluster.

    Raises typer.BadParameter with what to write when the file holds none.
    """
    found = [_observed(d, kinds, namespace) for d in _documents(path) if _is_ours(d)]
    if not found:
        message = f"{path} holds no object of apiVersion {API_VERSION}; kinds: {', '.join(kinds)}"
        raise typer.BadParameter(message)
    return found


def _documents(path: Path) -> Iterator[Any]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        yield from yaml.safe_load_all(text)
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot read {path}: {error}"
        raise typer.BadParameter(message) from error
    except yaml.YAMLError as error:
        message = f"{path} is not YAML: {error}"
        raise typer.BadParameter(message) from error


def _is_ours(document: object) -> bool:
    return isinstance(document, Mapping) and document.get("apiVersion") == API_VERSION


def _observed(
    document: Mapping[str, Any], kinds: Mapping[str, ServingKind], space: str
) -> Observed:
    given = document.get("metadata")
    name = given.get("name") if isinstance(given, Mapping) else None
    if not name:
        message = f"a {document.get('kind')} has no metadata.name: give it one"
        raise typer.BadParameter(message)
    kind = kinds.get(str(document.get("kind")))
    if kind is None:
        message = f"kind {document.get('kind')} is unknown; kinds: {', '.join(kinds)}"
        raise typer.BadParameter(message)
    meta = {"namespace": space, "uid": "", "generation": 1, **document["metadata"]}
    return Observed(kind, {**document, "metadata": meta})
