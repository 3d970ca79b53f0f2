"""Certificates as a mounted Secret holds them."""

import subprocess
from pathlib import Path


def certificate(folder: Path, name: str) -> None:
    """Make tls.crt and tls.key for a name and for loopback."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", "tls.key", "-out", "tls.crt"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


def mount(folder: Path, name: str) -> None:
    """Put a new certificate where the last one was, by the one rename that the kubelet does."""
    version = folder / f"..{name}"
    version.mkdir()
    certificate(version, name)
    link = folder / "..data_tmp"
    link.symlink_to(version.name)
    link.rename(folder / "..data")
    for file in ("tls.crt", "tls.key"):
        if not (folder / file).exists():
            (folder / file).symlink_to(f"..data/{file}")
