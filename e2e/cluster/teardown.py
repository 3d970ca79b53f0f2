"""Ending the cluster so that nothing of it is left on the machine but the cache."""

import os
import shutil
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import network, node
from e2e.cluster.containerd import forget_containers
from e2e.cluster.daemon import Supervisor
from e2e.cluster.places import Places
from e2e.cluster.shell import ClusterError, run, wait_until

PODS_CGROUP = "kubepods"
# Paths that containerd, the kubelet and libcni have built in, whatever their configuration says.
SHIM_SOCKETS = Path("/run/containerd/s")
POD_LOG_LINKS = Path("/var/log/containers")
CNI_RESULTS = Path("/var/lib/cni/results")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
KUBECTL_CACHE = Path.home() / ".kube" / "cache" / "discovery" / f"{network.NODE_IP}_6443"


@dataclass(frozen=True, slots=True)
class Teardown:
    """Undoes everything `up` did in these places; each part also works when `up` failed midway."""

    places: Places

    def down(self) -> None:
        """Leave no process, mount, interface, nftables table, cgroup or file but the cache."""
        supervisor = Supervisor(self.places.run, self.places.logs)
        for name in [n for n in supervisor.names() if n != "containerd"]:
            # Nothing here deserves a graceful end: the state goes away with the processes.
            supervisor.stop(name, grace_seconds=0)
        if self._machine_is_ours():
            self._end_pods()
        if supervisor.running("containerd"):
            with suppress(ClusterError):  # `up` tries again before it starts the kubelet
                forget_containers(self.places)
        supervisor.stop("containerd")
        self._end_shims()
        _unmount_below(self.places.state)
        if self._machine_is_ours():
            network.down(self.places.saved_forward)
            self._remove_leftovers()
        _remove_tree(self.places.state)

    def _machine_is_ours(self) -> bool:
        """Pods' cgroups and the bridge have one name per machine: `up` marked who made them."""
        return self.places.saved_forward.exists()

    def _end_pods(self) -> None:
        """Kill what runs in the pods' cgroups, then remove the cgroups."""
        trees = [root / PODS_CGROUP for root in node.cgroup_roots()]
        trees = [tree for tree in trees if tree.exists()]
        wait_until(lambda: not _kill(members(trees)), 30, "every process of the pods has ended")
        for tree in trees:
            _remove_cgroup(tree)

    def _end_shims(self) -> None:
        wait_until(lambda: not _kill(self._shims()), 30, "every containerd shim has ended")

    def _shims(self) -> list[int]:
        socket = str(self.places.containerd_socket).encode()
        return [
            pid
            for pid, argv in _processes()
            if argv[0].endswith(b"containerd-shim-runc-v2") and socket in argv
        ]

    def _remove_leftovers(self) -> None:
        """Files in places that no configuration moves."""
        for name in ("sandboxes", "containers"):
            _remove_tree(self.places.images / "io.containerd.grpc.v1.cri" / name)
        _remove_tree(KUBECTL_CACHE)
        _unlink(_children(DEVICE_PLUGINS))
        _unlink(p for p in _children(POD_LOG_LINKS) if self._is_ours(p))
        _unlink(p for p in _children(CNI_RESULTS) if str(self.places.state) in p.read_text())
        _unlink(p for p in _children(SHIM_SOCKETS) if str(p) not in _listening())
        for folder in (POD_LOG_LINKS, CNI_RESULTS, SHIM_SOCKETS, DEVICE_PLUGINS):
            _remove_empty(folder)
            _remove_empty(folder.parent)

    def _is_ours(self, link: Path) -> bool:
        return link.is_symlink() and link.readlink().is_relative_to(self.places.state)


def purge(places: Places) -> None:
    """Remove the cache too."""
    Teardown(places).down()
    _unmount_below(places.cache)  # an image builder keeps its store mounted
    _remove_tree(places.cache)


def _processes() -> list[tuple[int, list[bytes]]]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append((int(path.parent.name), path.read_bytes().split(b"\0")))
    return found


def members(trees: Iterable[Path]) -> set[int]:
    """Return the processes in these cgroups; folders that go while it looks have none.

    `Path.rglob` would raise for such a folder, which containerd may be removing.
    """
    pids: set[int] = set()
    for tree in trees:
        for folder, _, _ in os.walk(tree):
            with suppress(OSError):
                procs = Path(folder, "cgroup.procs").read_text()
                pids.update(int(pid) for pid in procs.split())
    return pids


def _kill(pids: Iterable[int]) -> int:
    """Send SIGKILL to each; how many there were."""
    count = 0
    for pid in pids:
        count += 1
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return count


def _remove_cgroup(tree: Path) -> None:
    folders = [Path(root) for root, _, _ in os.walk(tree, topdown=False)]
    wait_until(lambda: _removed(folders), 10, f"the cgroup {tree} is empty")


def _removed(folders: list[Path]) -> bool:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
    return not any(folder.exists() for folder in folders)


def _unmount_below(folder: Path) -> None:
    for point in reversed(_mount_points()):
        if Path(point).is_relative_to(folder):
            run("umount", "--lazy", point)


def _mount_points() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].encode().decode("unicode_escape") for line in lines]


def _listening() -> set[str]:
    lines = Path("/proc/net/unix").read_text().splitlines()
    return {line.split()[7].removeprefix("@") for line in lines if len(line.split()) > 7}


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def _unlink(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _remove_tree(path: Path) -> None:
    """Remove the tree; a mount that goes away lazily may hold it for a moment."""
    deadline = time.monotonic() + 10
    while path.exists():
        shutil.rmtree(path, ignore_errors=time.monotonic() < deadline)
