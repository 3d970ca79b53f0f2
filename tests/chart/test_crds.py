"""The CRDs as files and in the chart are those that the types make."""

from collections.abc import Mapping
from typing import Any

import yaml

from chart.helm import CHART, ROOT, Helm, of_kind
from modelops.api.crd import crd
from modelops.api.group import EVERY_KIND
from modelops.api.manifest import crd_yaml

TYPES = {f"{kind.plural}.yaml": kind for kind in EVERY_KIND.values()}


def plain(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a CRD without what the chart puts on its metadata."""
    return {**definition, "metadata": {"name": definition["metadata"]["name"]}}


def test_the_files_are_what_the_types_make() -> None:
    """Each kind has its file, no file has lost its kind, and each holds the types' text."""
    files = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "crds").iterdir()}
    assert files == {name: crd_yaml(kind) for name, kind in TYPES.items()}, "run `make generate`"


def test_the_text_of_a_crd_is_the_crd() -> None:
    """The generated YAML, read again, is the manifest that the types make."""
    assert all(yaml.safe_load(crd_yaml(kind)) == crd(kind) for kind in EVERY_KIND.values())


def test_there_is_one_copy() -> None:
    """`crds/` and the chart's files are the same folder, so they cannot differ."""
    assert (ROOT / "crds").resolve() == (CHART / "files" / "crds").resolve()


def test_the_chart_installs_the_types(helm: Helm) -> None:
    """Helm renders each CRD as the types make it, and keeps it when the release goes."""
    rendered = of_kind(helm.objects(), "CustomResourceDefinition")
    expected = {f"{kind.plural}.modelops.dev": crd(kind) for kind in EVERY_KIND.values()}
    assert {found["metadata"]["name"]: plain(found) for found in rendered} == expected
    policy = {found["metadata"]["annotations"]["helm.sh/resource-policy"] for found in rendered}
    assert policy == {"keep"}


def test_the_chart_leaves_crds_to_others_when_told(helm: Helm) -> None:
    """crds.install=false renders none."""
    assert not of_kind(helm.objects("--set=crds.install=false"), "CustomResourceDefinition")


def test_crds_go_with_the_release_when_told(helm: Helm) -> None:
    """crds.keep=false leaves helm's annotation out."""
    for found in of_kind(helm.objects("--set=crds.keep=false"), "CustomResourceDefinition"):
        assert "annotations" not in found["metadata"]
