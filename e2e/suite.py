"""`make test`: everything, cheapest first; in CI the local cluster is taken down at the end."""

import os
import subprocess
import sys
from pathlib import Path

from e2e.cluster.shell import step
from e2e.platform import ROOT, platform

BIN = Path(sys.executable).parent
PYTEST = (sys.executable, "-m", "pytest", "-q")


def main() -> None:
    """Run lint, unit, integration and e2e tests; the first that fails ends the run."""
    try:
        _lint()
        _run(
            "unit, golden and property tests",
            *PYTEST,
            "tests",
            "--ignore=tests/integration",
            "-n",
            "2",
        )
        with step("start the platform"):
            platform()
        _run("integration on a real etcd and kube-apiserver", *PYTEST, "tests/integration")
        _run("stories on the real cluster", *PYTEST, "e2e")
    finally:
        if os.environ.get("CI") and not os.environ.get("MODELOPS_CONTEXT"):
            _run("take the local cluster down", sys.executable, "-m", "e2e.cluster", "down")


def _lint() -> None:
    _run("style", str(BIN / "ruff"), "check", ".")
    _run("format", str(BIN / "ruff"), "format", "--check", ".")
    _run("types", str(BIN / "mypy"))
    _run("architecture", str(BIN / "lint-imports"), "--no-cache")


def _run(what: str, *command: str) -> None:
    with step(what):
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()
