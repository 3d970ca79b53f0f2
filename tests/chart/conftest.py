"""Helm, as the tests of the chart run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chart.helm import ROOT, Helm


def binaries() -> Path:
    """Return the directory that holds helm: MODELOPS_BIN, else the local cluster's."""
    given = os.environ.get("MODELOPS_BIN")
    if given:
        return Path(given)
    command = [sys.executable, "-m", "e2e.cluster", "bin"]
    asked = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Path(asked.stdout.strip())


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm on this project's chart."""
    return Helm(binaries() / "helm")
