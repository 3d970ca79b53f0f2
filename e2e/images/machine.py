"""What the machine brings to a build: Debian packages, uv, and its own network settings."""

import configparser
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.debian import install
from e2e.cluster.shell import run, step
from e2e.images.recipe import DEBIAN_PACKAGES, DEBIAN_SUITE, UV_VERSION

PACKAGES = ("buildah", "mmdebstrap", "skopeo")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
UV_WRAPPER = """\
#!/bin/sh
export SSL_CERT_FILE=/run/build/certificates.crt UV_CONFIG_FILE=/run/build/uv.toml
export UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH UV_PYTHON_DOWNLOADS=never
exec /run/build/uv-binary "$@"
"""
UNNEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True, slots=True)
class Places:
    """Where builds keep what can be made again: all below one folder of the cache."""

    cache: Path

    @classmethod
    def of_environment(cls) -> "Places":
        """Below MODELOPS_CACHE, or ~/.cache/modelops."""
        given = os.environ.get("MODELOPS_CACHE")
        return cls(Path(given or Path.home() / ".cache" / "modelops").absolute() / "images")

    @property
    def build(self) -> Path:
        """The folder that a build sees as /run/build."""
        return self.cache / "build"

    @property
    def uv(self) -> Path:
        """The uv that this project pins."""
        return self.cache / f"uv-{UV_VERSION}" / "bin" / "uv"

    @property
    def rootfs(self) -> Path:
        """The context of the Debian image."""
        return self.cache / "rootfs"


@contextmanager
def alone(places: Places) -> Iterator[None]:
    """Holds the store, so that two builds of the same image do the work once."""
    places.cache.mkdir(parents=True, exist_ok=True)
    with (places.cache / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare(places: Places) -> None:
    """Installs what builds need and writes the folder they see; quick when all is there."""
    install(PACKAGES)
    if not places.uv.exists():
        _install_uv(places)
    places.build.mkdir(parents=True, exist_ok=True)
    (places.build / "cache").mkdir(exist_ok=True)
    (places.build / "apt.conf").write_text(apt_settings())
    (places.build / "uv.toml").write_text(uv_settings(pip_index()))
    (places.build / "uv").write_text(UV_WRAPPER)
    (places.build / "uv").chmod(0o755)
    shutil.copy2(places.uv, places.build / "uv-binary")
    shutil.copy2(CERTIFICATES, places.build / "certificates.crt")


def _install_uv(places: Places) -> None:
    folder = places.uv.parents[1]
    install(("python3-venv",))
    with step(f"install uv {UV_VERSION}"):
        run("/usr/bin/python3", "-m", "venv", folder)
        run(folder / "bin/pip", "install", "-q", f"uv=={UV_VERSION}")


def apt_settings() -> str:
    """The machine's way to Debian's mirrors, such as a proxy, as an apt.conf."""
    lines = run("apt-config", "dump").splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith("Acquire::http"))


def pip_index() -> str | None:
    """The package index that pip is told to use on this machine, if any."""
    if index := os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL"):
        return index
    settings = configparser.ConfigParser(interpolation=None)
    home = Path.home()
    settings.read(["/etc/pip.conf", home / ".config/pip/pip.conf", home / ".pip/pip.conf"])
    return settings.get("global", "index-url", fallback=None)


def uv_settings(index: str | None) -> str:
    """uv's settings inside a build, as TOML."""
    source = f'[[index]]\nurl = "{index}"\ndefault = true\n' if index else ""
    return f'cache-dir = "/run/build/cache"\nlink-mode = "copy"\n{source}'


def debian(places: Places) -> None:
    """Writes the root file system of the Debian image, with the machine's own mirrors."""
    places.rootfs.mkdir(parents=True, exist_ok=True)
    options = [f"--aptopt={line.rstrip(';')}" for line in apt_settings().splitlines()]
    exclude = [f"--dpkgopt=path-exclude={pattern}" for pattern in UNNEEDED]
    fixed = ("--variant=minbase", "--mode=root", f"--include={','.join(DEBIAN_PACKAGES)}")
    target = places.rootfs / "rootfs.tar"
    mirrors = debian_mirrors()
    source = ["-"] if mirrors else []
    run("mmdebstrap", *fixed, *options, *exclude, DEBIAN_SUITE, target, *source, stdin=mirrors)


def debian_mirrors() -> str:
    """The machine's own apt sources for this suite; empty where it is another Debian."""
    query = ("--format", "deb $(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    lines = run("apt-get", "indextargets", *query).splitlines()
    ours = {f"{DEBIAN_SUITE}{suffix}" for suffix in ("", "-updates", "-security")}
    return "".join(f"{line}\n" for line in sorted(set(lines)) if line.split()[2] in ours)
