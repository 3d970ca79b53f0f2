"""The programs that tests of the chart run."""

import os
from pathlib import Path

from e2e.cluster import golang
from e2e.cluster.places import Places


def binaries() -> Path:
    """Return the directory with helm and kubectl: MODELOPS_BIN, else the cluster's, built once."""
    given = os.environ.get("MODELOPS_BIN")
    if given:
        return Path(given)
    places = Places.of_environment()
    golang.build((golang.HELM, golang.KUBECTL), places.store, places.bin)
    return places.bin
