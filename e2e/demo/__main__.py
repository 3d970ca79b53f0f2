"""`python -m e2e.demo up|down`."""

import argparse
import os
import subprocess
import sys


def main() -> None:
    """Run the demo, or take away what it made."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("what", choices=["up", "down"])
    if parser.parse_args().what == "down":
        down()
    else:
        # Needs the virtual environment, which `down` does without.
        from e2e.demo.show import show  # noqa: PLC0415
        from e2e.kube import KubeError  # noqa: PLC0415

        try:
            show()
        except KubeError as error:
            sys.exit(f"error: {error}")


def down() -> None:
    """Stop the local cluster; on a cluster of the user's own, remove what the demo installed."""
    context = os.environ.get("MODELOPS_CONTEXT")
    if not context:
        subprocess.run([sys.executable, "-m", "e2e.cluster", "down"], check=True)
        return
    kubectl = ["kubectl", f"--context={context}", "delete", "--ignore-not-found"]
    subprocess.run([*kubectl, "namespace", "modelops-demo"], check=True)
    helm = ["helm", f"--kube-context={context}", "-n", "modelops-system", "uninstall", "modelops"]
    subprocess.run([*helm, "--ignore-not-found"], check=True)


main()
