"""The `modelops` command."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from modelops.api.group import EVERY_KIND
from modelops.api.manifest import crd_yaml
from modelops.api.reference import reference_markdown
from modelops.builders.tools import BUILDERS
from modelops.cli import artifacts, build, jobs, key
from modelops.cli.inspect import inspect_command
from modelops.cli.offline import explain_command, plan_command, render_command
from modelops.cli.simulate import simulate_command
from modelops.gateway import openapi
from modelops.runtimes.engines import RUNTIMES

app = typer.Typer(
    name="modelops",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="AI models as Kubernetes objects. `render`, `plan` and `explain` need no cluster.",
    epilog="On a cluster: `kubectl modelops explain NAME` tells why a model is not ready.",
)
app.command("render")(render_command)
app.command("plan")(plan_command)
app.command("explain")(explain_command)
app.command("inspect")(inspect_command)
app.command("simulate")(simulate_command)
app.add_typer(key.app, name="key")
app.add_typer(build.app, name="build")
app.add_typer(jobs.app, name="jobs")
app.add_typer(artifacts.app, name="artifacts")


@app.command("crd")
def crd_command(
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write one file a kind here.")] = None,
) -> None:
    """Print the CustomResourceDefinitions, made from the types."""
    if kind is not None and kind not in EVERY_KIND:
        message = f"no kind {kind}; kinds: {', '.join(EVERY_KIND)}"
        raise typer.BadParameter(message)
    for found in (k for k in EVERY_KIND.values() if kind in (None, k.name)):
        if out is None:
            typer.echo(crd_yaml(found), nl=False)
            continue
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{found.plural}.yaml").write_text(crd_yaml(found), encoding="utf-8")


@app.command("reference")
def reference_command(
    out: Annotated[Path | None, typer.Option(help="Write one file a kind here.")] = None,
) -> None:
    """Print the reference of every kind as Markdown, made from the types."""
    for kind in EVERY_KIND.values():
        if out is None:
            typer.echo(reference_markdown(kind), nl=False)
            continue
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{kind.singular}.md").write_text(reference_markdown(kind), encoding="utf-8")


@app.command("openapi")
def openapi_command() -> None:
    """Print the gateway's OpenAPI document, which it serves at /openapi.json."""
    typer.echo(openapi.text(indent=1), nl=False)


@app.command("runtimes")
def runtimes_command() -> None:
    """List the runtimes: what each serves and on what."""
    table = Table("Name", "Serves", "Runs on", "Description", box=None, pad_edge=False)
    for name, runtime in sorted(RUNTIMES.items()):
        serves, devices = ", ".join(sorted(runtime.kinds)), ", ".join(sorted(runtime.images))
        table.add_row(name, serves, devices, runtime.description)
    Console(soft_wrap=True).print(table)


@app.command("builders")
def builders_command() -> None:
    """List the methods by which models are made smaller: who knows each, and how it stores them."""
    table = Table("Method", "Builder", "Schemes", "Description", box=None, pad_edge=False)
    for name, builder in sorted(BUILDERS.items()):
        for method in builder.methods.values():
            schemes = ", ".join(scheme.name for scheme in method.schemes)
            table.add_row(method.name, name, schemes, method.description)
    Console(soft_wrap=True).print(table)


def main() -> None:
    """Run the command line."""
    app()
