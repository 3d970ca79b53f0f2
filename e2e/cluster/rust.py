"""Envoy's module, built once from its source as it is."""

import fcntl
import hashlib
import os
import shutil
from pathlib import Path

from e2e.cluster import debian
from e2e.cluster.places import Places
from e2e.cluster.shell import run, step

SOURCE = Path(__file__).parents[2] / "runtimes" / "envoy" / "module"
LIBRARY = "libmodelops.so"
SEARCH_PATH = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH"
"""The variable by which Envoy knows the folder of its modules."""


def source() -> str:
    """Return the content address of what the module is built of: twelve hex digits."""
    digest = hashlib.sha256()
    for path in (SOURCE / "Cargo.toml", SOURCE / "Cargo.lock", *sorted(SOURCE.glob("src/*.rs"))):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def module() -> Path:
    """Return the folder that holds the library, built if that was not done yet.

    Raises ClusterError where it cannot be built.
    """
    store = Places.of_environment().store
    folder = store / f"module-{source()}"
    if not folder.exists():
        store.mkdir(parents=True, exist_ok=True)
        with (store / ".module-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # who comes second finds the work done
            if not folder.exists():
                _build(folder)
    return folder


def environment() -> dict[str, str]:
    """Return the environment of an Envoy that is to find the module."""
    return {**os.environ, SEARCH_PATH: str(module())}


def target() -> Path:
    """Return the folder in which cargo keeps what it has compiled."""
    return Places.of_environment().store / "module-target"


def _build(folder: Path) -> None:
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    with step("building Envoy's module"):
        run(
            cargo(), "build", "--release", "--locked", "--target-dir", target(),
            "--manifest-path", SOURCE / "Cargo.toml",
        )  # fmt: skip
        draft.mkdir()
        shutil.copy2(target() / "release" / LIBRARY, draft)
        draft.rename(folder)


def cargo() -> Path:
    """The machine's cargo, or the one of Debian that is new enough."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    found = shutil.which("cargo") or home / "bin" / "cargo"
    if not Path(found).exists():
        debian.install(("cargo-web", "gcc"))
    return Path(shutil.which("cargo") or found)
