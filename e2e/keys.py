"""API keys of the gateway, made as users make them: by the command line."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from e2e.chat import bearer
from e2e.kube import Kube

MODELOPS = Path(sys.executable).parent / "modelops"


def modelops_key(kube: Kube, *arguments: str) -> str:
    """Return what `modelops key` prints on this cluster."""
    return modelops(kube, "key", *arguments)


def modelops(kube: Kube, *arguments: str) -> str:
    """Return what `modelops` prints on this cluster."""
    with TemporaryDirectory() as folder:
        chosen = Path(folder) / "kubeconfig"
        chosen.touch(0o600)
        chosen.write_text(kube.run("config", "view", "--minify", "--raw", "--flatten"))
        done = subprocess.run(
            [str(MODELOPS), *arguments],
            env={**os.environ, "KUBECONFIG": str(chosen)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return done.stdout.strip()


def new_key(kube: Kube, tenant: str, *models: str) -> str:
    """Return a new API key for these models."""
    named = [option for model in models for option in ("--models", model)]
    return modelops_key(kube, "create", "--tenant", tenant, *named, "--expires", "1d")


def takes(url: str, key: str, model: str) -> bool:
    """Tell whether the gateway offers a model to a key."""
    return _asked(url, key, model).is_success


def _asked(url: str, key: str, model: str) -> httpx.Response:
    return httpx.get(f"{url}/v1/models/{model}", headers=bearer(key))


def until_taken(url: str, key: str, model: str, seconds: float = 30) -> None:
    """Wait until the gateway offers a model to a key; raises TimeoutError with its last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = _asked(url, key, model)
        if answer.is_success:
            return
        if time.monotonic() > deadline:
            message = f"the gateway answers {answer.status_code} to the key: {answer.text}"
            raise TimeoutError(message)
        time.sleep(0.2)
