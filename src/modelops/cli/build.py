"""`modelops build`: a builder's code on this machine, and what a build measured."""

import json
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from modelops.api import conditions as c
from modelops.api.base import API_VERSION
from modelops.api.builds.modelbuild import KIND
from modelops.builders.recipe import as_document
from modelops.building import main as building
from modelops.building.report import PAGE
from modelops.building.show import Unreadable, command, unpacked
from modelops.cli import errand
from modelops.cli.document import read
from modelops.cli.errand import STORE_PATH
from modelops.cli.offline import catalogue_for
from modelops.cli.session import on_cluster
from modelops.cluster import Cluster
from modelops.fetch import main as fetching
from modelops.registry.uri import ClaimSource
from modelops.sync.builds.observed import CLAIM
from modelops.sync.builds.plan import BuildPlan, plan_build
from modelops.sync.observed import Ref
from modelops.sync.progress import size
from modelops.sync.refusal import Refusal


class _FileFirst(TyperGroup):
    """Takes a file where others want the name of a command."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name, or else the one that builds a file."""
        known = bool(args) and (args[0] in self.commands or args[0].startswith("-"))
        return super().resolve_command(ctx, args if known else ["file", *args])


app = typer.Typer(
    cls=_FileFirst,
    no_args_is_help=True,
    help="`modelops build FILE --local` builds on this machine; `report NAME` tells what a build "
    "on a cluster measured, and `report NAME --open` shows it with plots.",
)


@app.command("file")
def file_command(  # noqa: PLR0913, PLR0917  as many as there are options
    file: Annotated[Path, typer.Argument(help="YAML file with ModelBuilds.")],
    local: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option("--local", help="On this machine, without a cluster.")
    ] = False,
    source: Annotated[
        Path | None, typer.Option(help="Folder with the source; else it is fetched.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that keeps artifacts.")] = Path("artifacts"),
    tool: Annotated[Path, typer.Option(help="The builder's own tool.")] = Path(
        "/opt/build/tool.py"
    ),
    calibration: Annotated[Path | None, typer.Option(help="Text to calibrate on.")] = None,
) -> None:
    """Build what the ModelBuilds in FILE ask for; the word `file` may be left out.

    The code is that which builds on a cluster: run it in the builder's image, or anywhere that has
    its libraries.

    Example: modelops build quantized.yaml --local --tool runtimes/llm-compressor/tool.py
    """
    if not local:
        message = "add --local to build on this machine, or `kubectl apply -f` it to a cluster"
        raise typer.BadParameter(message)
    if not tool.is_file():
        message = f"there is no {tool}: run this in the builder's image, or name its tool by --tool"
        raise typer.BadParameter(message)
    catalogue = catalogue_for("none")
    for observed in read(file, catalogue.kinds, "default").builds:
        try:
            plan = plan_build(observed, catalogue.platform)
        except Refusal as refusal:
            typer.echo(f"{observed.name}: {refusal.reason}: {refusal.sentence}", err=True)
            raise typer.Exit(1) from refusal
        _build(plan, source or _fetched(plan, out), out, ["--tool", str(tool)], calibration)


@app.command("report")
def report_command(
    name: Annotated[str, typer.Argument(help="Name of the ModelBuild.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")] = "default",
    show: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option("--open", help="Fetch the page with plots and open it in a browser.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option(help="File to keep the page with plots in.", dir_okay=False)
    ] = None,
) -> None:
    """Tell what a build measured: sizes, quality before and after, the gate, lineage, cost.

    The page with plots lies beside the artifact: --open and --save have a short pod read it there.
    """
    found = on_cluster(lambda cluster: cluster.get(Ref(API_VERSION, KIND.name, namespace, name)))
    status = found.get("status") or {}
    ready = c.find(found, c.READY) or {"message": "the operator has not looked at it yet"}
    typer.echo(f"{name}: {ready['message']}")
    if "artifact" not in status:
        typer.echo("There is no report until the build has made its artifact.", err=True)
        raise typer.Exit(1)
    Console(soft_wrap=True).print(_figures(status))
    typer.echo(yaml.safe_dump({"lineage": status.get("lineage", {})}, sort_keys=False), nl=False)
    if show or save:
        _keep(_page(namespace, status["artifact"]), save, show=show)
    else:
        typer.echo(f"A page with plots lies in {status['artifact']}: see it with --open or --save")


def _page(namespace: str, artifact: str) -> bytes:
    """Return the report that lies beside an artifact on a claim."""
    if not artifact.startswith("pvc://"):
        message = f"{artifact} lies on no claim: fetch report.html from there"
        raise typer.BadParameter(message)
    claim, _, path = artifact.removeprefix("pvc://").partition("/")

    async def read(cluster: Cluster) -> str:
        words = command(f"{STORE_PATH}/{path}")
        image = await errand.image(cluster)
        store = Ref(*CLAIM, namespace, claim)
        job = errand.errand("build-report", store, image, words, write=False)
        return await errand.run(cluster, job, lines=1)

    try:
        return unpacked(on_cluster(read))
    except Unreadable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _keep(page: bytes, save: Path | None, *, show: bool) -> None:
    """Write the page where it was asked for, or where it outlives the command; open it if asked."""
    file = save or Path(tempfile.mkdtemp(prefix="modelops-report-")) / PAGE
    file.write_bytes(page)
    typer.echo(f"The page with plots is {file}")
    if show and not webbrowser.open(file.absolute().as_uri()):
        typer.echo("No browser could be opened: open that file yourself.", err=True)


_MEASURES: Final = {
    "kl": ("KL divergence, nats", "0"),
    "agreement": ("agreement", "1"),
    "pixels": ("difference of pixels", "0"),
    "ssim": ("structural similarity", "1"),
    "cosine": ("cosine of embeddings", "1"),
    "rank": ("rank correlation", "1"),
}
"""What is measured of an artifact: what it is called, and what it is where nothing is lost."""


def _figures(status: dict[str, Any]) -> Table:
    quality = status.get("quality", {})
    table = Table("Figure", "Source", "Artifact", box=None, pad_edge=False)
    sizes = (status.get(name) for name in ("bytesBefore", "bytesAfter"))
    table.add_row("weights", *("-" if count is None else size(count) for count in sizes))
    both = [quality.get(f"perplexity{when}") for when in ("Before", "After")]
    if all(both):
        table.add_row("perplexity", *both)
    for name, (called, best) in _MEASURES.items():
        if name in quality:
            table.add_row(called, best, quality[name])
    table.add_row("seconds", "", str(status.get("seconds", "-")))
    table.add_row("GPU seconds", "", str(status.get("gpuSeconds", "-")))
    return table


def _fetched(plan: BuildPlan, out: Path) -> Path:
    """Return the folder of a source, having fetched it into a cache beside the artifacts."""
    if isinstance(plan.asked.source, ClaimSource):
        message = f"{plan.asked.source} lies on a cluster: name a folder with it by --source"
        raise typer.BadParameter(message)
    source, link = plan.asked.spec.source, out.absolute() / "source"
    optional = {"--revision": source.revision, "--endpoint": source.endpoint}
    out.mkdir(parents=True, exist_ok=True)
    given = [f"{flag}={value}" for flag, value in optional.items() if value]
    code = fetching.run([f"--uri={source.uri}", *given, f"--cache={out}", f"--link={link}"])
    if code:
        raise typer.Exit(code)
    return link


def _build(
    plan: BuildPlan, source: Path, out: Path, tool: list[str], calibration: Path | None
) -> None:
    text = ["--calibration", str(calibration)] if calibration else []
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.json"
        recipe.write_text(json.dumps(as_document(plan.asked.recipe)))
        where = ["--recipe", str(recipe), "--source", str(source), "--out", str(out)]
        code = building.run([*where, *tool, *text])
    if code:
        raise typer.Exit(code)
    typer.echo(f"{out / plan.asked.address}", err=True)
