"""Serves a tiny model with the image as a pod would, and holds it to what the platform relies on.

Usage, as root: `python3 runtimes/vllm/smoke.py ROOTFS` with the image's mounted root file system
(`buildah mount`). The container has a read-only root, uid 10001, no capabilities and the engine as
process 1, as Pod Security `restricted` makes it. Needs runc; prints the figures as one JSON object.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PORT = 18080
PATIENCE_SECONDS = 300
START_UP_SECONDS = 4
TINY_LLAMA = Path(__file__).with_name("tiny_llama.py")
ENGINE = (
    "python3", "-m", "vllm.entrypoints.openai.api_server",
    "--model=/weights/model", "--served-model-name=tiny", "--host=127.0.0.1", f"--port={PORT}",
    "--enforce-eager", "--max-model-len=2048", "--shutdown-timeout=60",
    "--distributed-executor-backend=uni", "--disable-uvicorn-access-log",
)  # fmt: skip
ENVIRONMENT = (
    "PATH=/opt/venv/bin:/usr/bin:/bin",
    "HOME=/tmp",
    "HF_HUB_OFFLINE=1",
    "LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4:/opt/venv/lib/libiomp5.so",
    "VLLM_CACHE_ROOT=/opt/vllm/cache",
    "VLLM_CPU_KVCACHE_SPACE=1",
    "VLLM_ENABLE_V1_MULTIPROCESSING=0",
    "VLLM_NO_USAGE_STATS=1",
    "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS=1",
)


def bundle(
    rootfs: Path, weights: Path, command: tuple[str, ...], environment: tuple[str, ...]
) -> dict[str, object]:
    """The OCI runtime configuration of one container."""

    def mount(target: str, kind: str, *options: str) -> dict[str, object]:
        return {"destination": target, "type": kind, "source": kind, "options": list(options)}

    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(rootfs), "readonly": True},
        "process": {
            "user": {"uid": 10001, "gid": 10001},
            "args": list(command),
            "env": list(environment),
            "cwd": "/",
            "noNewPrivileges": True,
        },
        "mounts": [
            mount("/proc", "proc"),
            mount("/dev", "tmpfs", "mode=755"),
            mount("/dev/shm", "tmpfs", "mode=1777"),
            mount("/tmp", "tmpfs", "mode=1777"),
            mount("/sys", "bind", "rbind", "ro") | {"source": "/sys"},
            mount("/weights", "bind", "rbind") | {"source": str(weights)},
            mount("/script.py", "bind", "rbind", "ro") | {"source": str(TINY_LLAMA)},
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


@contextmanager
def container(
    rootfs: Path,
    weights: Path,
    command: tuple[str, ...],
    environment: tuple[str, ...] = ENVIRONMENT,
) -> Iterator[Container]:
    """A running container, which is killed at the end if it still runs."""
    name = f"smoke-{time.monotonic_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        configuration = bundle(rootfs, weights, command, environment)
        Path(folder, "config.json").write_text(json.dumps(configuration))
        run = ["runc", "run", "--bundle", folder, name]
        started = Container(name, subprocess.Popen(run, stdout=sys.stderr))
        try:
            yield started
        finally:
            if started.process.poll() is None:
                started.kill("KILL")
                started.process.wait()


def ask(method: str, path: str, body: dict[str, object] | None = None) -> http.client.HTTPResponse:
    """The engine's response; raises OSError where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    content = json.dumps(body) if body else None
    connection.request(method, path, content, {"content-type": "application/json"})
    return connection.getresponse()


def health() -> int:
    """The status of /health; 0 where nobody listens."""
    try:
        return ask("GET", "/health").status
    except OSError:
        return 0


def chat(tokens: int, *, stream: bool = False) -> http.client.HTTPResponse:
    """The response to a chat request for exactly `tokens` tokens."""
    return ask(
        "POST",
        "/v1/chat/completions",
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": stream,
        },
    )


def until_ready(engine: Container) -> float:
    """Seconds until /health is 200; it must not answer anything else before."""
    started = time.monotonic()
    while (status := health()) != 200:
        assert status == 0, f"/health answered {status} in start-up"
        assert engine.process.poll() is None, "the engine ended in start-up; its log is above"
        assert time.monotonic() - started < PATIENCE_SECONDS, "the engine did not become ready"
        time.sleep(0.1)
    return time.monotonic() - started


def answers() -> None:
    """A chat request is answered with as many tokens as asked for."""
    answer = json.load(chat(8))
    assert answer["usage"]["completion_tokens"] == 8, answer


def finishes_what_it_began(engine: Container) -> float:
    """A stream that is open when SIGTERM comes is served to its end; then the engine exits 0.

    Returns the seconds from SIGTERM to the exit.
    """
    response = chat(1500, stream=True)
    first = response.readline()
    assert first.startswith(b"data:"), first
    engine.kill("TERM")
    terminated = time.monotonic()
    rest = response.read().decode()
    assert '"finish_reason":"length"' in rest, rest[-500:]
    assert rest.rstrip().endswith("data: [DONE]"), rest[-500:]
    assert engine.process.wait(60) == 0
    return time.monotonic() - terminated


def dies_when_told_in_start_up(rootfs: Path, weights: Path) -> float:
    """SIGTERM in start-up ends the engine; returns the seconds that took."""
    with container(rootfs, weights, ENGINE) as engine:
        time.sleep(START_UP_SECONDS)
        engine.kill("TERM")
        terminated = time.monotonic()
        engine.process.wait(60)
        return time.monotonic() - terminated


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rootfs", type=Path, help="the image's root file system, mounted")
    rootfs = parser.parse_args().rootfs
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder)
        weights.chmod(0o777)
        with container(rootfs, weights, ("python3", "/script.py", "/weights/model")) as maker:
            assert maker.process.wait(60) == 0, "the model was not made; the log is above"
        figures["terminateInStartUpSeconds"] = dies_when_told_in_start_up(rootfs, weights)
        with container(rootfs, weights, ENGINE) as engine:
            figures["readySeconds"] = until_ready(engine)
            answers()
            figures["drainSeconds"] = finishes_what_it_began(engine)
    sys.stdout.write(json.dumps({name: round(value, 1) for name, value in figures.items()}) + "\n")


if __name__ == "__main__":
    main()
