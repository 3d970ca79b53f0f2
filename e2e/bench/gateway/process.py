"""Processes on their own CPUs, and what they use: user and system time, resident memory."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.shell import ClusterError

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Sides:
    """Which CPUs the proxy has for itself, and which its clients and the engine share."""

    proxy: frozenset[int]
    rest: frozenset[int]

    @classmethod
    def of_machine(cls) -> "Sides":
        """One CPU for the proxy and the others for the rest; on one CPU all share it."""
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(frozenset({first}), frozenset(others or [first]))


@dataclass(frozen=True, slots=True)
class Process:
    """A running process with all that it started."""

    name: str
    popen: "subprocess.Popen[str]"
    log: Path

    @property
    def pids(self) -> list[int]:
        """Its own id and those of its descendants."""
        parents = {pid: _stat(pid)[1] for pid in _all_pids()}
        found = [self.popen.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if int(parent) == pid]
        return found

    @property
    def cpu_seconds(self) -> float:
        """User and system time until now, also of descendants that have ended."""
        # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), of which the name was the second
        return sum(sum(map(int, _stat(pid)[11:15])) for pid in self.pids) / TICKS

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; raises ClusterError with the log when that is in vain."""
        end = time.monotonic() + START_SECONDS
        while not holds():
            if self.popen.poll() is not None or time.monotonic() > end:
                last = "\n".join(self.log.read_text(encoding="utf-8").splitlines()[-15:])
                raise ClusterError(f"{self.name} does not come up; its last words:\n{last}")
            time.sleep(0.02)

    @property
    def resident_mib(self) -> float:
        """Memory that it has in RAM."""
        return sum(_resident_kib(pid) for pid in self.pids) / 1024


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """Return the fields from the third on; zeros for a process that has just ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 50
    return text.rpartition(")")[2].split()


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(
        (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0
    )


@contextmanager
def running(
    command: Sequence[str | Path], cpus: frozenset[int], log: Path, env: Mapping[str, str] = {}
) -> Iterator[Process]:
    """Run a command on some CPUs; it is ended with its context."""
    with (
        log.open("w") as out,
        subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            text=True,
            env={**os.environ, **env},
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),  # noqa: PLW1509  there are no threads yet but the heartbeat, which holds no lock for long
        ) as popen,
    ):
        process = Process(str(command[0]), popen, log)
        try:
            yield process
        finally:
            popen.terminate()


def listening(process: Process, port: int) -> None:
    """Wait until something listens on a port of loopback; raises ClusterError with the log."""

    def open_() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            return False

    process.until(open_)


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def written(path: Path, content: object) -> Path:
    """Write JSON, which is YAML too, and return the file."""
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path
