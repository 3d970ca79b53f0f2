"""One background process: started detached, found again by its pid file, ended by its pid."""

import hashlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from e2e.cluster.shell import ClusterError


@dataclass(frozen=True, slots=True)
class Daemon:
    """What to run; `files` are the configuration files whose change asks for a restart."""

    name: str
    argv: tuple[str, ...]
    files: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Content address of everything that shapes the process."""
        parts = [*self.argv, *(f"{k}={v}" for k, v in sorted(self.env.items()))]
        parts += [path.read_text() for path in self.files]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Starts and ends daemons; remembers them in `pids`, their output goes to `logs`."""

    pids: Path
    logs: Path

    def ensure(self, daemon: Daemon) -> bool:
        """Make the daemon run as described; True when it had to be (re)started."""
        record = self._record(daemon.name)
        if record is not None and record["digest"] == daemon.digest and _alive(record):
            return False
        self.stop(daemon.name)
        self._start(daemon)
        return True

    def running(self, name: str) -> bool:
        """Whether the process of this name is the one we started, and alive."""
        record = self._record(name)
        return record is not None and _alive(record)

    def names(self) -> list[str]:
        """Every daemon that was started and not stopped."""
        return sorted(path.stem for path in self.pids.glob("*.pid"))

    def stop(self, name: str, grace_seconds: float = 10.0) -> None:
        """End the process (SIGTERM, then SIGKILL after the grace) and forget it."""
        record = self._record(name)
        if record is not None and _alive(record):
            _end(int(record["pid"]), grace_seconds)
        (self.pids / f"{name}.pid").unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        """The file that holds the daemon's output."""
        return self.logs / f"{name}.log"

    def check(self, name: str) -> None:
        """Raise ClusterError with the end of its log when the daemon has died."""
        if not self.running(name):
            tail = "\n".join(self.log(name).read_text(errors="replace").splitlines()[-10:])
            raise ClusterError(f"{name} ended; its log {self.log(name)} ends with:\n{tail}")

    def _start(self, daemon: Daemon) -> None:
        self.pids.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.log(daemon.name).open("ab") as log:
            process = subprocess.Popen(
                daemon.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**os.environ, **daemon.env},
                start_new_session=True,
            )
        record = {"pid": process.pid, "start": _start_time(process.pid), "digest": daemon.digest}
        (self.pids / f"{daemon.name}.pid").write_text(json.dumps(record))
        process.returncode = 0  # it outlives us by design: keeps Popen from warning about it

    def _record(self, name: str) -> dict[str, str | int] | None:
        try:
            record: dict[str, str | int] = json.loads((self.pids / f"{name}.pid").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return record


def _start_time(pid: int) -> str:
    """Boot-relative start time in ticks, with the boot's id; empty for a dead process or zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "" if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _alive(record: Mapping[str, str | int]) -> bool:
    return bool(record["start"]) and _start_time(int(record["pid"])) == record["start"]


def _end(pid: int, grace_seconds: float) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if grace_seconds > 0:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not grace_seconds or not poll.poll(grace_seconds * 1000):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            poll.poll()
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
        _reap(pid)


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
