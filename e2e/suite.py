"""`make test`: everything, cheapest first; in CI the local cluster is taken down at the end."""

import os
import subprocess
import sys

from e2e.cluster.shell import step
from e2e.platform import ROOT, platform

PYTEST = (sys.executable, "-m", "pytest", "-q")
# By file: what a file's tests share, above all an API server, is started once.
TESTS = (*PYTEST, "--numprocesses=2", "--dist=loadfile")


def main() -> None:
    """Run lint, unit, integration and e2e tests; the first that fails ends the run."""
    try:
        _run("lint", "make", "--no-print-directory", "lint")
        _run("unit, golden and property tests", *TESTS, "tests", "--ignore=tests/integration")
        with step("start the platform"):
            platform()
        _run("integration on a real etcd and kube-apiserver", *TESTS, "tests/integration")
        _run("stories on the real cluster", *PYTEST, "e2e")
    finally:
        if os.environ.get("CI") and not os.environ.get("MODELOPS_CONTEXT"):
            _run("take the local cluster down", sys.executable, "-m", "e2e.cluster", "down")


def _run(what: str, *command: str) -> None:
    with step(what):
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()
