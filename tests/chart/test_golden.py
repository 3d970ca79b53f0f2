"""What helm gives the cluster, for review."""

from pathlib import Path

import pytest

import golden_file
from chart.helm import CPU, MONITORING, Helm

GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "default": (),
    "cpu": (f"--values={CPU}",),
    "namespaced": ("--set=watchNamespaces={team-a,team-b}", "--set=operator.replicas=2"),
    "monitored": MONITORING,
    "attached": ("--set=gatewayApi.enabled=true", "--set=gatewayApi.parentRefs[0].name=shared"),
    "bare": ("--set=gateway.enabled=false", "--set=networkPolicy.create=false"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_chart_renders_what_was_reviewed(
    helm: Helm, case: str, request: pytest.FixtureRequest
) -> None:
    """Helm renders the golden file byte for byte; the CRDs have their own test."""
    now = helm.text("--set=crds.install=false", *CASES[case])
    golden_file.check(GOLDEN / f"{case}.yaml", now, request)


def test_every_golden_file_has_its_case() -> None:
    """No golden file outlives its case."""
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(CASES)


def test_a_packaged_chart_is_whole(helm: Helm, tmp_path: Path) -> None:
    """The chart as a file, without the repository around it, renders the same, CRDs included."""
    assert helm.text(*MONITORING, chart=helm.package(tmp_path)) == helm.text(*MONITORING)
