"""`modelops inspect`: what a model is and where it fits, before anything is downloaded."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from modelops.cli.findings import Findings, findings
from modelops.cli.inspected import show
from modelops.fetch.folder import FolderStore
from modelops.fetch.store import Patience, Store, open_store
from modelops.fetch.survey import Survey, survey, survey_file
from modelops.registry.failure import Failure
from modelops.registry.uri import ClaimSource, parse_uri


def inspect_command(  # noqa: PLR0913, PLR0917  options of the command line
    where: Annotated[
        str | None,
        typer.Argument(metavar="URI|FOLDER", help="hf://, s3:// or pvc:// URI, or a folder."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Instead: one safetensors file, without a configuration.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option(help="Where the claim of a pvc:// URI is mounted.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="URL of the hub or S3 service.")] = None,
    context: Annotated[
        int | None,
        typer.Option(min=1, max=100_000_000, help="Tokens a request; else the model's longest."),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=100_000, help="Requests of that length at once.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Tell what a model is and which GPUs hold it, from its configuration and headers alone."""
    if (where is None) == (weights is None):
        message = "name a URI, a folder, or a safetensors file with --weights; one of them"
        raise typer.BadParameter(message)
    seen = _survey(where, weights, source, endpoint)
    try:
        found = findings(where or str(weights), seen, context, batch)
    except ValueError as error:
        sys.exit(f"{error}: correct the file, or ask who published it")
    _print(found, as_json=as_json)


def _survey(
    where: str | None, weights: Path | None, source: Path | None, endpoint: str | None
) -> Survey:
    """Look at the model; a failure ends the command with its cause."""
    try:
        if weights is not None:
            return survey_file(weights)
        return survey(_store(where or "", source, endpoint), Patience())
    except Failure as failure:
        sys.exit(f"{failure.reason}: {failure.message}: {failure.action}")


def _store(where: str, source: Path | None, endpoint: str | None) -> Store:
    if "://" not in where:
        return FolderStore(Path(where))
    try:
        uri = parse_uri(where)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not isinstance(uri, ClaimSource):
        return open_store(uri, endpoint, Patience())
    if source is None:
        message = f"a claim cannot be read from here: mount {uri.claim} and name its path, --source"
        raise typer.BadParameter(message)
    return FolderStore(source / uri.path)


def _print(found: Findings, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.document, indent=2))
    else:
        show(found, Console(soft_wrap=True, highlight=False))
