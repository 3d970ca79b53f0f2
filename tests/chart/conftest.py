"""Helm and kubectl, as the tests of the chart run them."""

from pathlib import Path

import pytest

from chart.helm import Helm
from chart.tools import binaries


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """The kubectl binary."""
    return binaries() / "kubectl"


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm on this project's chart."""
    return Helm(binaries() / "helm")
