"""Who may import whom."""

from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_layers_and_the_purity_of_the_core_hold(capsys: pytest.CaptureFixture[str]) -> None:
    """The import contracts of pyproject.toml are kept."""
    status = lint_imports(config_filename=str(PYPROJECT), no_cache=True, no_logo=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out
