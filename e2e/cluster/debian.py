"""Debian packages the cluster needs."""

import os
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.shell import ClusterError, run, step

PACKAGES = (
    "ca-certificates",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "docker-registry",
    "iproute2",
    "mount",
    "nftables",
    "openssl",
    "runc",
)
POLICY = Path("/usr/sbin/policy-rc.d")


def missing(names: tuple[str, ...]) -> list[str]:
    """Those of the packages that dpkg does not have installed."""
    if shutil.which("dpkg-query") is None:
        raise ClusterError(
            "this machine is no Debian; use a cluster of your own: MODELOPS_CONTEXT=<its context>"
        )
    query = ["dpkg-query", "-W", "-f", "${binary:Package}|${Status}\n", *names]
    lines = subprocess.run(query, text=True, capture_output=True, check=False).stdout.splitlines()
    have = {line.split("|")[0].split(":")[0] for line in lines if line.endswith("ok installed")}
    return [name for name in names if name not in have]


def install(names: tuple[str, ...]) -> None:
    """Install the packages that are missing; nothing is asked and no service is started."""
    wanted = missing(names)
    if not wanted:
        return
    if os.geteuid() != 0:
        raise ClusterError(f"packages are missing; as root: apt-get install {' '.join(wanted)}")
    with step(f"installing Debian packages {' '.join(wanted)}"):
        run("apt-get", "update", "-q")
        _install_quietly(wanted)


def _install_quietly(names: list[str]) -> None:
    """Debian starts a package's service on install; the cluster runs its own instances."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "install", "-q", "-y", "--no-install-recommends", *names, env=env)
    finally:
        if ours:
            POLICY.unlink()
