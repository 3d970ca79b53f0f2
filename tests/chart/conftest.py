"""Helm and kubectl, as the tests of the chart run them."""

import fcntl
import os
from pathlib import Path

import pytest

from chart.helm import Helm
from e2e.cluster import golang
from e2e.cluster.places import Places


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The directory with helm and kubectl: MODELOPS_BIN, else the local cluster's, built once."""
    given = os.environ.get("MODELOPS_BIN")
    if given:
        return Path(given)
    places, wanted = Places.of_environment(), (golang.HELM, golang.KUBECTL)
    places.lock.parent.mkdir(parents=True, exist_ok=True)
    with places.lock.open("w") as lock:
        if not all((places.bin / binary.name).exists() for binary in wanted):
            fcntl.flock(lock, fcntl.LOCK_EX)  # test processes take turns, the first one builds
            golang.build(wanted, places.store, places.bin)
    return places.bin


@pytest.fixture(scope="session")
def helm(binaries: Path) -> Helm:
    """Helm on this project's chart."""
    return Helm(binaries / "helm")
