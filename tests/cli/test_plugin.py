"""What the kubectl plugin says to kinds that it does not explain."""

import pytest
from typer.testing import CliRunner

from modelops.cli.plugin import app


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("mr", "kubectl get modelroutes -o wide"),
        ("Tenant", "kubectl get tenants -o wide"),
        ("Deployment", "no kind Deployment; kinds: DiffusionModel, TextModel"),
    ],
)
def test_a_kind_without_pods_is_sent_to_its_own_status(kind: str, says: str) -> None:
    """A policy has no chain of causes: its status says all; other kinds are not known."""
    result = CliRunner().invoke(app, ["explain", "one", "--kind", kind])
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.replace("│", " ").split())
