"""A container of an image as a pod would run it, by runc alone."""

import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE_SECONDS = 300
ENVIRONMENT = ("PATH=/opt/venv/bin:/usr/bin:/bin", "HOME=/tmp", "USER=modelops",
               "PYTHONPATH=/opt/diffusion", "HF_HUB_OFFLINE=1", "DIFFUSERS_VERBOSITY=error",
               "TRANSFORMERS_VERBOSITY=error")  # fmt: skip


def bundle(
    rootfs: Path, folder: Path, command: tuple[str, ...], more: tuple[str, ...]
) -> dict[str, object]:
    """The OCI runtime configuration of one container."""

    def mount(target: str, kind: str, *options: str) -> dict[str, object]:
        return {"destination": target, "type": kind, "source": kind, "options": list(options)}

    binds = {"/models": folder / "models", "/scratch": folder / "scratch", "/script": HERE}
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(rootfs), "readonly": True},
        "process": {
            "user": {"uid": 10001, "gid": 10001},
            "args": list(command),
            "env": [*ENVIRONMENT, *more],
            "cwd": "/",
            "noNewPrivileges": True,
        },
        "mounts": [
            mount("/proc", "proc"),
            mount("/dev", "tmpfs", "mode=755"),
            mount("/dev/shm", "tmpfs", "mode=1777"),
            mount("/tmp", "tmpfs", "mode=1777"),
            mount("/sys", "bind", "rbind", "ro") | {"source": "/sys"},
            *(
                mount(target, "bind", "rbind") | {"source": str(source)}
                for target, source in binds.items()
            ),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }


@dataclass(frozen=True, slots=True)
class Container:
    """A container that was started, and the runc process that waits for it."""

    name: str
    process: subprocess.Popen[bytes]

    def kill(self, signal: str) -> None:
        """Sends `signal` to the container's process 1."""
        subprocess.run(["runc", "kill", self.name, signal], check=True)

    def executed(self, *command: str) -> str:
        """What a command prints that runs in it."""
        whole = ["runc", "exec", "--user", "10001", self.name, *command]
        return subprocess.run(whole, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def processes(self) -> list[int]:
        """The ids of all its processes, outside of it."""
        listed = subprocess.run(
            ["runc", "ps", "--format", "json", self.name], check=True, stdout=subprocess.PIPE
        )
        return [int(each) for each in json.loads(listed.stdout)]


@contextmanager
def container(
    rootfs: Path, folder: Path, command: tuple[str, ...], more: tuple[str, ...] = ()
) -> Iterator[Container]:
    """A running container with `more` environment, killed at the end if it still runs."""
    name = f"smoke-{time.monotonic_ns()}"
    with tempfile.TemporaryDirectory() as place:
        Path(place, "config.json").write_text(json.dumps(bundle(rootfs, folder, command, more)))
        run = ["runc", "run", "--bundle", place, name]
        started = Container(name, subprocess.Popen(run, stdout=sys.stderr))
        try:
            yield started
        finally:
            if started.process.poll() is None:
                started.kill("KILL")
                started.process.wait()


def make(rootfs: Path, folder: Path, *command: str) -> None:
    """Run a script of this folder in the image to its end."""
    with container(rootfs, folder, ("python3", "-W", "ignore", *command)) as maker:
        assert maker.process.wait(PATIENCE_SECONDS) == 0, f"{command} failed; the log is above"


def gray(width: int, height: int, level: int, black: int = 0) -> bytes:
    """A PNG of one gray, as many of its columns black; one of many pixels is its header only."""
    row = b"\0" + bytes(black) + bytes([level]) * (width - black)
    rows = row * height if width < 10_000 else b""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in parts
    )
