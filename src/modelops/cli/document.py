"""Reading the objects that a user wrote."""

import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

from modelops.api.base import API_VERSION
from modelops.api.builds import BUILDS
from modelops.api.policies import POLICIES
from modelops.api.serving import ServingKind
from modelops.sync.builds.observed import ObservedBuild
from modelops.sync.observed import Manifest, Observed


@dataclass(frozen=True, slots=True)
class Document:
    """The modelops objects of a file, as on an empty cluster: models, builds, and policies."""

    models: tuple[Observed, ...]
    builds: tuple[ObservedBuild, ...]
    policies: tuple[Manifest, ...]


def read(path: Path, kinds: Mapping[str, ServingKind], namespace: str) -> Document:
    """Return the modelops objects of a YAML file ('-' is standard input).

    Raises typer.BadParameter with what to write when the file holds none.
    """
    known = (*kinds, *BUILDS, *POLICIES)
    found = [_named(d, known, namespace) for d in _documents(path) if _is_ours(d)]
    if not found:
        message = f"{path} holds no object of apiVersion {API_VERSION}; kinds: {', '.join(known)}"
        raise typer.BadParameter(message)
    return Document(
        tuple(Observed(kinds[d["kind"]], d) for d in found if d["kind"] in kinds),
        tuple(ObservedBuild(BUILDS[d["kind"]], d) for d in found if d["kind"] in BUILDS),
        tuple(d for d in found if d["kind"] in POLICIES),
    )


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


def _named(document: Mapping[str, Any], known: Collection[str], space: str) -> dict[str, Any]:
    given = document.get("metadata")
    name = given.get("name") if isinstance(given, Mapping) else None
    if not name:
        message = f"a {document.get('kind')} has no metadata.name: give it one"
        raise typer.BadParameter(message)
    if document.get("kind") not in known:
        message = f"kind {document.get('kind')} is unknown; kinds: {', '.join(known)}"
        raise typer.BadParameter(message)
    meta = {"namespace": space, "uid": "", "generation": 1, **document["metadata"]}
    return {**document, "metadata": meta}
