"""KEDA for a story: installed on the local cluster, and removed."""

import os
import subprocess
import sys

from e2e.platform import ROOT

NAMESPACE = "keda"


def keda(what: str) -> None:
    """Install KEDA (`up`) or remove it (`down`), as it is pinned; on the local cluster only."""
    if os.environ.get("MODELOPS_CONTEXT"):
        sys.exit(
            "this story installs KEDA and removes it again, and does not do so on your cluster: "
            "run it without MODELOPS_CONTEXT"
        )
    subprocess.run([sys.executable, "-m", "e2e.cluster", "keda", what], cwd=ROOT, check=True)
