"""The kubectl plugin: `kubectl modelops explain NAME` on a live cluster."""

import asyncio
from typing import Annotated

import typer
from kubernetes.aio import config
from rich.console import Console

from modelops.api.base import API_VERSION
from modelops.api.builds import BUILDS
from modelops.api.kinds import KINDS
from modelops.api.policies import POLICIES
from modelops.api.serving import ServingKind
from modelops.cli.chain import chain
from modelops.cluster import ApiServer, Cluster, ClusterError, plurals
from modelops.controller.observe import observe
from modelops.runtimes.engines import RUNTIMES
from modelops.sync.observed import Observed, Ref

app = typer.Typer(
    name="kubectl-modelops",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Why is my model not ready? Reads the cluster that KUBECONFIG names.",
)


@app.callback()
def _root() -> None:
    """Keep `explain` a command of its own, so that others can stand beside it."""


@app.command("explain")
def explain_command(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Its namespace; else that of the current context."),
    ] = None,
    kind: Annotated[str, typer.Option(help=f"Its kind: {', '.join(KINDS)}.")] = "TextModel",
) -> None:
    """Print the chain of causes from a model down to its containers, and what to do next."""
    found = _kind(kind)
    space = namespace or _current_namespace()
    try:
        observed = asyncio.run(_observed(found, space, name))
    except config.ConfigException as error:
        typer.echo(f"no cluster to talk to ({error}): set KUBECONFIG", err=True)
        raise typer.Exit(1) from error
    except ClusterError as error:
        typer.echo(f"cannot ask the cluster: {error}", err=True)
        raise typer.Exit(1) from error
    if observed is None:
        hint = f"list them with `kubectl get {found.plural} -A`"
        typer.echo(f"no {found.name} {name} in namespace {space}: {hint}", err=True)
        raise typer.Exit(1)
    runtime = RUNTIMES.get(observed.resource.get("status", {}).get("runtime", ""))
    Console().print(chain(observed, runtime))


def _kind(name: str) -> ServingKind:
    for kind in KINDS.values():
        if kind.called(name):
            return kind
    others = (*BUILDS.values(), *POLICIES.values())
    policy = next((p for p in others if p.called(name)), None)
    look = (
        f"a {policy.name} says all itself: `kubectl get {policy.plural} -o wide`" if policy else ""
    )
    raise typer.BadParameter(look or f"no kind {name}; kinds: {', '.join(KINDS)}")


def _current_namespace() -> str:
    try:
        _, active = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return "default"
    return str(active["context"].get("namespace", "default"))


async def _observed(kind: ServingKind, namespace: str, name: str) -> Observed | None:
    server = await ApiServer.connect()
    try:
        cluster = Cluster(server, plurals(KINDS))
        return await observe(cluster, kind, Ref(API_VERSION, kind.name, namespace, name))
    finally:
        await server.close()


def main() -> None:
    """Run the plugin."""
    app()
