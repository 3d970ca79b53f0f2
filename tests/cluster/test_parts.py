"""The small parts of the local cluster."""

import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.apiserver import ControlPlane
from e2e.cluster.daemon import Daemon, Supervisor
from e2e.cluster.health import dns_query, node_is_ready
from e2e.cluster.image import ScratchImage, archive
from e2e.cluster.network import DNS_IP
from e2e.cluster.places import Places
from e2e.cluster.shell import ClusterError, run, wait_until
from e2e.cluster.teardown import Teardown, members

SLEEP = ("sleep", "60")


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    """A supervisor with its own directories."""
    return Supervisor(tmp_path / "pids", tmp_path / "logs")


def pid(supervisor: Supervisor, name: str) -> int:
    """The process that the supervisor remembers."""
    return int(json.loads((supervisor.pids / f"{name}.pid").read_text())["pid"])


def test_a_daemon_that_runs_as_described_is_left_alone(supervisor: Supervisor) -> None:
    """Asking twice starts once; a new description restarts; stop ends the process."""
    assert supervisor.ensure(Daemon("d", SLEEP))
    first = pid(supervisor, "d")
    assert not supervisor.ensure(Daemon("d", SLEEP))
    assert supervisor.ensure(Daemon("d", ("sleep", "61")))
    assert pid(supervisor, "d") != first
    supervisor.stop("d")
    assert not supervisor.running("d")
    assert supervisor.names() == []


def test_a_changed_file_restarts_its_daemon(supervisor: Supervisor, tmp_path: Path) -> None:
    """Configuration is part of what a daemon is."""
    config = tmp_path / "config"
    config.write_text("a")
    daemon = Daemon("d", SLEEP, files=(config,))
    supervisor.ensure(daemon)
    config.write_text("b")
    assert supervisor.ensure(daemon)
    supervisor.stop("d")


def test_a_stranger_with_a_recycled_pid_is_never_ended(supervisor: Supervisor) -> None:
    """A pid file is believed only with the start time of the process that it was written for."""
    supervisor.pids.mkdir()
    record = {"pid": os.getpid(), "start": "another-boot/1", "digest": ""}
    (supervisor.pids / "d.pid").write_text(json.dumps(record))
    assert not supervisor.running("d")
    supervisor.stop("d")  # would end this very test


def test_a_dead_daemon_is_reported_with_its_last_words(supervisor: Supervisor) -> None:
    """The error shows the end of the log."""
    supervisor.ensure(Daemon("d", ("sh", "-c", "echo no such disk; exit 1")))
    wait_until(lambda: not supervisor.running("d"), 10, "it has ended")
    with pytest.raises(ClusterError, match="no such disk"):
        supervisor.check("d")
    supervisor.stop("d")


def test_an_image_is_exactly_its_files(tmp_path: Path) -> None:
    """Equal files give equal bytes; the layer has the files, executable, and the links."""
    program = tmp_path / "program"
    program.write_bytes(b"binary")
    image = ScratchImage("a:b", {"/bin/x": program}, ("/bin/x",), links={"/bin/y": "x"})
    assert archive(image) == archive(image)
    with tarfile.open(fileobj=io.BytesIO(archive(image))) as outer:
        (manifest,) = json.load(outer.extractfile("manifest.json") or io.BytesIO())
        layer = outer.extractfile(manifest["Layers"][0]) or io.BytesIO()
        with tarfile.open(fileobj=layer) as inner:
            modes = {member.name: member.mode for member in inner.getmembers()}
            assert inner.getmember("bin/y").linkname == "x"
    assert manifest["RepoTags"] == ["a:b"]
    assert modes == {"bin/x": 0o755, "bin/y": 0o777}


@pytest.mark.parametrize(
    ("ready", "taints", "expected"),
    [
        ("True", [], True),
        ("False", [], False),
        ("True", [{"key": "node.kubernetes.io/not-ready"}], False),
    ],
)
def test_a_node_is_ready_when_it_takes_pods(
    ready: str,
    taints: list[dict[str, str]],
    expected: bool,  # noqa: FBT001  # parametrized
) -> None:
    """A Ready node with a taint that has yet to go takes no pod."""
    conditions = [{"type": "Ready", "status": ready}]
    node: dict[str, Any] = {"spec": {"taints": taints}, "status": {"conditions": conditions}}
    assert node_is_ready(node) is expected


def test_a_dns_question_has_its_labels() -> None:
    """Twelve bytes of header, each label with its length, then type A, class IN."""
    assert dns_query("a.bc")[12:] == b"\x01a\x02bc\x00\x00\x01\x00\x01"


def test_places_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """MODELOPS_CACHE and MODELOPS_STATE move everything."""
    monkeypatch.setenv("MODELOPS_CACHE", "/c")
    monkeypatch.setenv("MODELOPS_STATE", "/s")
    assert Places.of_environment() == Places(Path("/c"), Path("/s"))


def test_a_failed_command_says_why() -> None:
    """The error has the exit code and what the command wrote."""
    with pytest.raises(ClusterError, match=r"exited with 3:\nbecause"):
        run("sh", "-c", "echo because >&2; exit 3")


def test_dns_is_where_kubeadm_puts_it() -> None:
    """The tenth address of the service range, which tools expect."""
    assert DNS_IP.endswith(".0.10")


def test_down_without_a_state_touches_nothing(tmp_path: Path) -> None:
    """Pods, bridge and tables belong to a state directory; without one they are another's."""
    Teardown(Places(tmp_path / "cache", tmp_path / "no-state")).down()
    assert list(tmp_path.iterdir()) == []


def test_a_pod_may_end_while_its_processes_are_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cgroup that goes between being listed and being read has no processes."""
    for name, pid in (("staying", "7"), ("going", "8")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").write_text(pid)
    walk = os.walk

    def late(top: Path) -> Any:
        found = list(walk(top))
        shutil.rmtree(tmp_path / "going")
        return found

    monkeypatch.setattr(os, "walk", late)
    assert members([tmp_path]) == {7}


def test_a_control_plane_s_directory_has_room_for_its_sockets(tmp_path: Path) -> None:
    """The kernel's limit is told before anything starts."""
    with pytest.raises(ClusterError, match="shorter directory"):
        ControlPlane.create(tmp_path / ("x" * 100))
