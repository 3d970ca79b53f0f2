"""The commands that need no cluster: render, plan, explain."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from modelops.api.manifest import as_yaml
from modelops.cli.build_story import build_story
from modelops.cli.document import read
from modelops.cli.policy_story import policy_story
from modelops.cli.story import story
from modelops.sync.builds.desired import sync_build
from modelops.sync.builds.observed import ObservedBuild
from modelops.sync.builds.plan import BuildPlan, plan_build
from modelops.sync.catalogue import Catalogue, Jobs, Platform
from modelops.sync.desired import Apply, Create, Desired, Write, sync
from modelops.sync.observed import Manifest, Observed, Subject
from modelops.sync.plan import Plan, Refusal, plan
from modelops.sync.render import render

IMAGES: Final = {
    "modelops": "modelops/modelops:0.1.0",
    "envoy": "modelops/envoy:0.1.0",
    "redis": "modelops/redis:0.1.0",
    "vllm-cpu": "modelops/vllm-cpu:0.1.0",
    "vllm": "vllm/vllm-openai:v0.33.0",
    "llm-compressor": "modelops/llm-compressor:0.1.0",
    "onnx-builder": "modelops/onnx-builder:0.1.0",
    "diffusers-builder": "modelops/diffusers-builder:0.1.0",
    "llama-cpp": "modelops/llama-cpp:0.1.0",
    "llama-cpp-builder": "modelops/llama-cpp-builder:0.1.0",
    "ray-diffusers-cpu": "modelops/ray-diffusers-cpu:0.1.0",
    "ray-diffusers": "modelops/ray-diffusers:0.1.0",
}
"""What the chart's default values say."""

JOBS: Final = Jobs(
    redis_url="redis://modelops-redis.modelops-system.svc:6379/0",
    s3_bucket="modelops-jobs",
    s3_secret="modelops-jobs-s3",  # noqa: S106  the name of a Secret
)
"""Where jobs are, for want of the chart's values."""

APPLIES_NOTHING: Final = "nothing is applied for it: the gateway goes by it"

File = Annotated[Path, typer.Argument(help="YAML file with modelops objects; - is stdin.")]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="Namespace of objects that name none.")
]
AcceleratorName = Annotated[
    str,
    typer.Option(
        "--accelerator",
        help="Extended resource that a model takes one of by default, as the chart's value "
        "`accelerator`; none serves on CPU.",
    ),
]


def catalogue_for(accelerator: str) -> Catalogue:
    """Return the catalogue of a platform with that default accelerator."""
    resource = None if accelerator == "none" else accelerator
    return Catalogue(platform=Platform(images=IMAGES, accelerator=resource, jobs=JOBS))


def render_command(
    file: File, namespace: Namespace = "default", accelerator: AcceleratorName = "nvidia.com/gpu"
) -> None:
    """Print the manifests that the operator would apply for the objects in FILE."""
    catalogue = catalogue_for(accelerator)
    found = read(file, catalogue.kinds, namespace)
    manifests = [
        manifest
        for observed in found.models
        for manifest in render(observed, _planned(observed, catalogue))
    ]
    for build in found.builds:
        _planned_build(build, catalogue)
        writes = sync_build(build, catalogue.platform, datetime.now(UTC)).writes
        manifests += [dict(w.manifest) for w in writes if isinstance(w, Create)]
    for policy in found.policies:
        _told(policy)
        typer.echo(f"{_policy(policy)}: {APPLIES_NOTHING}", err=True)
    if manifests:
        typer.echo(as_yaml(map(_ownerless, manifests)), nl=False)


def plan_command(
    file: File, namespace: Namespace = "default", accelerator: AcceleratorName = "nvidia.com/gpu"
) -> None:
    """Show what applying FILE to an empty cluster would do; exits 1 if an object is refused."""
    catalogue = catalogue_for(accelerator)
    found = read(file, catalogue.kinds, namespace)
    now = datetime.now(UTC)
    desired: list[tuple[Subject, Desired]] = [
        *((observed, sync(observed, catalogue, now)) for observed in found.models),
        *((build, sync_build(build, catalogue.platform, now)) for build in found.builds),
    ]
    table = Table("Object", "Verdict", "Write", box=None, pad_edge=False)
    for observed, result in desired:
        writes = [line for line in map(_write, result.writes) if line]
        for index, write in enumerate(writes or [f"nothing: {result.sentence}"]):
            table.add_row(*((_title(observed), result.reason) if index == 0 else ("", "")), write)
    for policy in found.policies:
        _told(policy)
        table.add_row(_policy(policy), "Planned", APPLIES_NOTHING)
    Console(soft_wrap=True).print(table)
    if any(not result.writes for _, result in desired):
        raise typer.Exit(1)


def explain_command(
    file: File, namespace: Namespace = "default", accelerator: AcceleratorName = "nvidia.com/gpu"
) -> None:
    """Tell in words what each object in FILE becomes and which defaults it takes."""
    catalogue = catalogue_for(accelerator)
    found = read(file, catalogue.kinds, namespace)
    for observed in found.models:
        typer.echo("\n".join([_title(observed), *story(observed, _planned(observed, catalogue))]))
    for build in found.builds:
        lines = build_story(_planned_build(build, catalogue))
        typer.echo("\n".join([_title(build), *lines]))
    for policy in found.policies:
        typer.echo("\n".join([_policy(policy), *_told(policy)]))


def _ownerless(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest that can be applied by hand: its owner has no uid before it exists."""
    meta = {k: v for k, v in manifest["metadata"].items() if k != "ownerReferences"}
    return {**manifest, "metadata": meta}


def _planned(observed: Observed, catalogue: Catalogue) -> Plan:
    try:
        return plan(observed, catalogue, datetime.now(UTC))
    except Refusal as refusal:
        typer.echo(f"{_title(observed)}: {refusal.reason}: {refusal.sentence}", err=True)
        raise typer.Exit(1) from refusal


def _planned_build(build: ObservedBuild, catalogue: Catalogue) -> BuildPlan:
    try:
        return plan_build(build, catalogue.platform)
    except Refusal as refusal:
        typer.echo(f"{_title(build)}: {refusal.reason}: {refusal.sentence}", err=True)
        raise typer.Exit(1) from refusal


def _told(policy: Manifest) -> list[str]:
    try:
        return list(policy_story(policy))
    except Refusal as refusal:
        typer.echo(f"{_policy(policy)}: {refusal.reason}: {refusal.sentence}", err=True)
        raise typer.Exit(1) from refusal


def _policy(policy: Manifest) -> str:
    meta = policy["metadata"]
    return f"{policy['kind']} {meta['namespace']}/{meta['name']}"


def _title(observed: Subject) -> str:
    return f"{observed.kind.name} {observed.namespace}/{observed.name}"


def _write(write: Write) -> str:
    """Return what a write makes, in words; empty for what makes nothing."""
    if not isinstance(write, Apply | Create):
        return ""
    manifest: Mapping[str, Any] = write.manifest
    what = f"{manifest['kind']} {manifest['metadata']['name']}"
    scaler = isinstance(write, Apply) and write.manager == "modelops-scaler"
    return f"{what} (replicas only)" if scaler else what
