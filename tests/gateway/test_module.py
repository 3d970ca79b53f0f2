"""The module inside Envoy: its own tests, and what Envoy does without it."""

import os
import subprocess
from pathlib import Path

import pytest

from e2e.cluster import rust
from gateway.proxy import binary
from modelops.gateway.files import publish
from modelops.gateway.render import BOOTSTRAP, render
from modelops.gateway.snapshot import Front, Snapshot


@pytest.mark.slow
def test_the_module_keeps_its_own_laws() -> None:
    """Its tests, which need no Envoy, pass."""
    command = [str(rust.cargo()), "test", "--quiet", "--locked", "--target-dir", rust.target()]
    command += ["--manifest-path", rust.SOURCE / "Cargo.toml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_dependencies_come_from_the_one_registry() -> None:
    """The lock file names no other place than crates.io, and a checksum for each."""
    lock = (rust.SOURCE / "Cargo.lock").read_text()
    sources = {line for line in lock.splitlines() if line.startswith("source = ")}
    assert sources == {'source = "registry+https://github.com/rust-lang/crates.io-index"'}
    assert lock.count("source = ") == lock.count("checksum = ")


def test_every_function_that_it_calls_is_envoys() -> None:
    """Each name in its declarations is one that this Envoy has."""
    text = (rust.SOURCE / "src/abi.rs").read_text()
    names = [line.split('"')[1] for line in text.splitlines() if "link_name" in line]
    found = binary().read_bytes()
    assert len(names) > 20
    assert [name for name in names if name.encode() + b"\0" not in found] == []


def test_an_envoy_without_the_module_serves_nothing(tmp_path: Path) -> None:
    """Where the library is missing, Envoy says so and does not start."""
    publish(tmp_path, render(Snapshot(), Front(str(tmp_path))), {})
    command = [str(binary()), "--mode", "validate", "-c", str(tmp_path / BOOTSTRAP)]
    env = {**os.environ, rust.SEARCH_PATH: str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode != 0
    assert "libmodelops.so not found" in done.stderr
