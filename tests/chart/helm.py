"""Rendering the chart with helm, without a cluster."""

import subprocess
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "modelops"
CPU: Final = CHART / "ci" / "cpu-values.yaml"
NAMESPACE: Final = "modelops-system"
MONITORING: Final = tuple(
    f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in ("PodMonitor", "PrometheusRule")
)

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Helm:
    """The helm binary."""

    binary: Path

    def lint(self, *options: str) -> str:
        """Return what helm's linter says; raises when it finds an error."""
        return self._run("lint", str(CHART), *options)

    def package(self, folder: Path) -> Path:
        """Return the chart as the one file that registries hold."""
        self._run("package", str(CHART), f"--destination={folder}")
        (packed,) = folder.glob("*.tgz")
        return packed

    def text(self, *options: str, chart: Path = CHART) -> str:
        """Return the chart as helm renders it; raises with helm's words when it refuses."""
        return self._run("template", "modelops", str(chart), f"--namespace={NAMESPACE}", *options)

    def objects(self, *options: str) -> list[Manifest]:
        """Return the chart's objects; the same options are rendered once."""
        return deepcopy(_objects(self, *options))

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            [str(self.binary), *command], check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise HelmError(done.stderr + done.stdout)
        return done.stdout


@cache
def _objects(helm: Helm, *options: str) -> list[Manifest]:
    rendered = helm.text(*options)
    return [found for found in yaml.load_all(rendered, yaml.CSafeLoader) if found]


class HelmError(Exception):
    """What helm said when it refused."""


def of_kind(objects: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Return the objects of a kind."""
    return [found for found in objects if found["kind"] == kind]


def one(objects: Iterable[Manifest], kind: str, name: str | None = None) -> Manifest:
    """Return the only object of a kind, or of a kind and a name."""
    found = [o for o in of_kind(objects, kind) if name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects {kind} {name or ''}"
    return found[0]
