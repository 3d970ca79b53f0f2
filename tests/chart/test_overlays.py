"""What we show to people who keep models in Git works as it stands."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.helm import ROOT, Helm, one
from modelops.api.base import GROUP
from modelops.api.group import EVERY_KIND
from modelops.api.kinds import KINDS
from modelops.sync.catalogue import Catalogue, Platform
from modelops.sync.desired import Apply, Desired, sync
from modelops.sync.observed import DEPLOYMENT, Observed
from podsecurity import violations

OVERLAYS = ROOT / "manifests" / "overlays"
GITOPS = ROOT / "manifests" / "gitops"
PLACES = ("production", "staging")
IMAGES = {name: f"registry.example.com/{name}:1" for name in ("modelops", "vllm", "vllm-cpu")}


def built(kubectl: Path, place: str) -> list[dict[str, Any]]:
    """Return what `kubectl kustomize` makes of an overlay."""
    command = [str(kubectl), "kustomize", str(OVERLAYS / place)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return list(yaml.safe_load_all(done.stdout))


def documents(folder: Path) -> list[dict[str, Any]]:
    """Return all YAML documents of a folder."""
    files = sorted(folder.glob("*.yaml"))
    return [d for f in files for d in yaml.safe_load_all(f.read_text(encoding="utf-8"))]


def desired(model: dict[str, Any]) -> Desired:
    """Return what the operator wants for a model on an empty cluster."""
    born = {**model, "metadata": {"uid": "1", "generation": 1, **model["metadata"]}}
    catalogue = Catalogue(platform=Platform(images=IMAGES))
    return sync(Observed(KINDS[model["kind"]], born), catalogue, datetime.now(UTC))


@pytest.mark.parametrize("place", PLACES)
def test_an_overlay_becomes_a_model_that_is_served(kubectl: Path, place: str) -> None:
    """Each overlay gives a namespace that enforces `restricted` and a model that passes there."""
    objects = built(kubectl, place)
    space, model = one(objects, "Namespace"), one(objects, "TextModel")
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert model["metadata"]["namespace"] == space["metadata"]["name"] == f"chat-{place}"
    applied = [w.manifest for w in desired(dict(model)).writes if isinstance(w, Apply)]
    deployment = next(m for m in applied if m["kind"] == DEPLOYMENT.kind)
    assert violations(deployment["spec"]["template"]) == []


def test_overlays_differ_where_they_say(kubectl: Path) -> None:
    """Production runs three replicas of a fixed commit, staging follows the branch."""
    production, staging = (one(built(kubectl, place), "TextModel")["spec"] for place in PLACES)
    assert production["scaling"]["minReplicas"] == 3
    assert len(production["model"]["revision"]) == 40
    assert staging["model"]["revision"] == "main"
    assert production["model"]["uri"] == staging["model"]["uri"]


@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_examples_point_at_what_exists(helm: Helm, tool: str, tmp_path: Path) -> None:
    """The paths of the GitOps examples are in this repository, and the chart takes their values."""
    found = documents(GITOPS / tool)
    paths = {
        place
        for document in found
        for place in (
            document.get("spec", {}).get("path"),
            document.get("spec", {}).get("source", {}).get("path"),
            document.get("spec", {}).get("chart", {}).get("spec", {}).get("chart"),
        )
        if place
    }
    assert {(ROOT / place).resolve() for place in paths} == {
        ROOT / "charts" / "modelops",
        OVERLAYS / "production",
    }
    spec = next(d["spec"] for d in found if "images" in str(d.get("spec")))
    values = spec.get("values") or spec["source"]["helm"]["valuesObject"]
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    rendered = helm.objects(f"--values={tmp_path / 'values.yaml'}")
    container = one(rendered, "Deployment", "modelops-operator")["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert container["image"] == values["images"]["modelops"]


def test_argo_cd_knows_every_kind() -> None:
    """There is a health check for each kind, the same for all."""
    (patch,) = [d for d in documents(GITOPS / "argocd" / "configuration") if set(d) == {"data"}]
    expected = {f"resource.customizations.health.{GROUP}_{name}" for name in EVERY_KIND}
    assert set(patch["data"]) == expected
    assert len(set(patch["data"].values())) == 1
