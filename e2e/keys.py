"""API keys of the gateway, made as users make them: by the command line."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from e2e.kube import Kube

MODELOPS = Path(sys.executable).parent / "modelops"


def modelops_key(kube: Kube, *arguments: str) -> str:
    """Return what `modelops key` prints on this cluster."""
    with TemporaryDirectory() as folder:
        chosen = Path(folder) / "kubeconfig"
        chosen.touch(0o600)
        chosen.write_text(kube.run("config", "view", "--minify", "--raw", "--flatten"))
        done = subprocess.run(
            [str(MODELOPS), "key", *arguments],
            env={**os.environ, "KUBECONFIG": str(chosen)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return done.stdout.strip()


def new_key(kube: Kube, tenant: str, models: str) -> str:
    """Return a new API key for these models."""
    return modelops_key(kube, "create", "--tenant", tenant, "--models", models, "--expires", "1d")
