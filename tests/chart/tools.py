"""The programs that tests of the chart run."""

import fcntl
import os
from pathlib import Path

from e2e.cluster import golang
from e2e.cluster.places import Places


def binaries() -> Path:
    """Return the directory with helm and kubectl: MODELOPS_BIN, else the cluster's, built once."""
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
