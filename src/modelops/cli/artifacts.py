"""`modelops artifacts`: what builds have made in a namespace, who uses it, and what may go."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from modelops.api import conditions as c
from modelops.api.base import API_VERSION
from modelops.api.builds.modelbuild import KIND
from modelops.api.kinds import KINDS
from modelops.building.sweep import Rule, command
from modelops.cli import errand
from modelops.cli.duration import duration
from modelops.cli.session import on_cluster
from modelops.cluster import Cluster
from modelops.sync.builds.observed import CLAIM, STORE
from modelops.sync.observed import Ref
from modelops.sync.progress import size

app = typer.Typer(no_args_is_help=True, help="Artifacts that builds have made.")
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Their namespace.")]
Objects = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Listed:
    """What a namespace has: its builds, and the texts that may name artifacts."""

    builds: Objects
    users: Mapping[str, str]

    def using(self, uri: str) -> list[str]:
        """Return who is served from an artifact."""
        return sorted(name for name, text in self.users.items() if uri in text)

    def digests(self, claim: str) -> frozenset[str]:
        """Return the digests of the artifacts on a claim that something refers to."""
        begin = f"pvc://{claim}/artifacts/"
        texts = (*self.users.values(), *(json.dumps(b.get("status", {})) for b in self.builds))
        parts = (part for text in texts for part in text.split(begin)[1:])
        current = (str((b.get("status") or {}).get("digest", "")) for b in self.builds)
        return frozenset({*(part[:64] for part in parts), *filter(None, current)})


async def listed(cluster: Cluster, namespace: str) -> Listed:
    """Return what a namespace has."""
    builds = await cluster.list(API_VERSION, KIND.name, namespace, {})
    models = [m for k in KINDS for m in await cluster.list(API_VERSION, k, namespace, {})]
    deployed = await cluster.list("apps/v1", "Deployment", namespace, {})
    named = [(f"{o['kind']} {o['metadata']['name']}", o["spec"]) for o in (*models, *deployed)]
    return Listed(builds, {name: json.dumps(spec) for name, spec in named})


@app.command("list")
def list_command(namespace: Namespace = "default") -> None:
    """List the artifacts of a namespace: of what, how small, how good, who is served from them."""
    found = on_cluster(lambda cluster: listed(cluster, namespace))
    table = Table("Build", "Method", "Source", "Size", "Quality", "Gate", "Used by", box=None)
    for build in found.builds:
        table.add_row(*_row(build, found))
    Console(soft_wrap=True).print(table)


@app.command("describe")
def describe_command(
    name: Annotated[str, typer.Argument(help="Name of the ModelBuild.")],
    namespace: Namespace = "default",
) -> None:
    """Print all that is known of an artifact: digest, quality, lineage, cost, users."""
    build = on_cluster(lambda cluster: cluster.get(_ref(namespace, name)))
    found = on_cluster(lambda cluster: listed(cluster, namespace))
    status = {k: v for k, v in (build.get("status") or {}).items() if k != "conditions"}
    ready = c.find(build, c.READY) or {}
    users = found.using(str(status.get("artifact", "-")))
    told = {"message": ready.get("message", ""), **status, "usedBy": users}
    typer.echo(yaml.safe_dump(told, sort_keys=False, width=100), nl=False)


@app.command("gc")
def gc_command(
    older_than: Annotated[str, typer.Option(help="Age of those that go: 30d, 12h or 90m.")],
    namespace: Namespace = "default",
    claim: Annotated[str, typer.Option(help="The claim that keeps them.")] = STORE,
    dry_run: Annotated[  # noqa: FBT002  an option of the command line
        bool, typer.Option("--dry-run", help="Remove nothing; say what would go.")
    ] = False,
) -> None:
    """Remove old artifacts that no ModelBuild, model or Deployment refers to, by a pod.

    Example: modelops artifacts gc --older-than 30d --dry-run
    """
    age = duration(older_than).total_seconds()

    async def run(cluster: Cluster) -> str:
        keep = (await listed(cluster, namespace)).digests(claim)
        image = await errand.image(cluster)
        rule = Rule(keep, age, dry_run)
        return await errand.run(cluster, sweeper(namespace, claim, image, rule))

    lines = [json.loads(line) for line in on_cluster(run).splitlines() if line.startswith("{")]
    for line in lines:
        did = "removed" if line["removed"] else "would go" if dry_run else "in use, left"
        days = line["ageSeconds"] // 86400
        typer.echo(f"{line['artifact']}  {size(line['bytes'])}  {days} days old  {did}")
    typer.echo(f"{len(lines)} artifacts, {size(sum(line['bytes'] for line in lines))}")


def sweeper(namespace: str, claim: str, image: str, rule: Rule) -> dict[str, Any]:
    """Return the Job that sweeps a claim."""
    words = command(f"{errand.STORE_PATH}/artifacts", rule)
    store = Ref(*CLAIM, namespace, claim)
    return errand.errand("artifacts-gc", store, image, words, write=True)


def _row(build: Mapping[str, Any], found: Listed) -> tuple[str, ...]:
    status = build.get("status") or {}
    gate = c.find(build, c.GATE_PASSED) or {}
    before, after = status.get("bytesBefore"), status.get("bytesAfter")
    return (
        build["metadata"]["name"],
        build["spec"]["method"],
        build["spec"]["source"]["uri"],
        f"{size(before)} -> {size(after)}" if before and after else "-",
        _quality(status.get("quality") or {}),
        str(gate.get("reason", "-")),
        ", ".join(found.using(str(status.get("artifact", "-")))) or "-",
    )


def _quality(quality: Mapping[str, str]) -> str:
    """Return the measure that stands for its kind."""
    return next((f"{m} {quality[m]}" for m in ("kl", "pixels", "cosine") if m in quality), "-")


def _ref(namespace: str, name: str) -> Ref:
    return Ref(API_VERSION, KIND.name, namespace, name)
