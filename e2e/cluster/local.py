"""The local cluster as a whole."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import addons, debian, golang, network, node
from e2e.cluster.configuration import Configuration
from e2e.cluster.containerd import forget_containers, load_missing
from e2e.cluster.daemon import Daemon, Supervisor
from e2e.cluster.health import Health
from e2e.cluster.places import Places
from e2e.cluster.shell import run, say, step, wait_until
from e2e.cluster.teardown import Teardown

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """A one-node cluster in the given places."""

    places: Places

    def up(self) -> None:
        """Bring the cluster to a Ready node with DNS; what runs as described stays untouched."""
        debian.install(debian.PACKAGES)
        golang.build(golang.CLUSTER, self.places.store, self.places.bin)
        self._start_afresh_after_reboot()
        configuration = Configuration.write(self.places)
        network.up(self.places.saved_forward)
        self._start("containerd and the registry", configuration.runtime(), Health.containerd)
        self._prepare_containerd()
        control_plane = (configuration.etcd(), configuration.apiserver())
        self._start("etcd and the apiserver", control_plane, Health.api)
        self._ensure(configuration.workers())
        self._apply_addons()
        self._settle()

    def down(self) -> None:
        """Leave nothing but the cache."""
        Teardown(self.places).down()

    def fake_gpus(self, count: int) -> None:
        """Make the node offer `count` of nvidia.com/gpu to the scheduler (0 takes them away)."""
        resources = {"nvidia.com/gpu": str(count) if count else None}
        patch = {"status": {"capacity": resources, "allocatable": resources}}
        merge = ("--subresource=status", "--type=merge", "--patch", json.dumps(patch))
        self.kubectl("patch", "node", node.NAME, *merge)

    def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator."""
        where = ("--kubeconfig", self.places.kubeconfig, "--cache-dir", self.places.run / "kubectl")
        return run(self.places.bin / "kubectl", *where, *argv, stdin=stdin)

    def _start_afresh_after_reboot(self) -> None:
        """etcd runs without fsync, so its data cannot be trusted after the machine went down."""
        record, boot = self.places.state / "boot_id", BOOT_ID.read_text()
        if record.exists() and record.read_text() != boot:
            say("the machine has restarted since the cluster ran; starting a new one")
            self.down()
        self.places.run.mkdir(parents=True, exist_ok=True)
        record.write_text(boot)

    def _ensure(self, daemons: Iterable[Daemon]) -> bool:
        supervisor = Supervisor(self.places.run, self.places.logs)
        return bool([daemon.name for daemon in daemons if supervisor.ensure(daemon)])

    def _start(self, what: str, daemons: Iterable[Daemon], ready: Callable[[Health], bool]) -> None:
        if self._ensure(daemons) or not ready(Health(self.places)):
            with step(f"starting {what}"):
                wait_until(lambda: ready(Health(self.places)), 120, f"{what} answer")

    def _prepare_containerd(self) -> None:
        if not (self.places.state / "etcd").exists():
            forget_containers(self.places)  # a new cluster knows none of an earlier one's
        load_missing(self.places, addons.images(self.places))

    def _apply_addons(self) -> None:
        text = addons.manifests()
        digest, record = hashlib.sha256(text.encode()).hexdigest(), self.places.state / "addons"
        if not record.exists() or record.read_text() != digest:
            with step("applying DNS and the storage class"):
                options = ("--server-side", "--force-conflicts", "--filename=-")
                self.kubectl("apply", *options, stdin=text)
            record.write_text(digest)

    def _settle(self) -> None:
        health = Health(self.places)
        if not health.settled():
            with step("waiting for the node and DNS"):
                wait_until(health.settled, 120, "the node is Ready and DNS answers")
