"""The command line of the local cluster."""

import argparse
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from e2e.cluster.apiserver import ControlPlane
from e2e.cluster.health import Health
from e2e.cluster.keda import Keda
from e2e.cluster.local import LocalCluster
from e2e.cluster.places import Places
from e2e.cluster.shell import ClusterError, say, step
from e2e.cluster.teardown import purge

EPILOG = """\
Everything that can be rebuilt is kept in MODELOPS_CACHE (default ~/.cache/modelops), the running
state in MODELOPS_STATE (default /var/lib/modelops-local). Needs Debian 12 or later, and root.
"""


def main() -> int:
    """Run one command; 0 when it did what it says, 1 with a reason on standard error."""
    arguments = _parser().parse_args()
    try:
        return int(arguments.run(LocalCluster(Places.of_environment()), arguments) or 0)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next `up` goes on from here, `down` cleans up")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m e2e.cluster",
        description="A real one-node Kubernetes cluster on this machine.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (
        ("up", _up, "build what is missing and start what does not run; quick when all is well"),
        ("down", _down, "end the cluster and leave nothing but the cache"),
        ("status", _status, "say what runs; exit code 1 unless the node is Ready"),
        ("kubeconfig", _kubeconfig, "print the path of the administrator's kubeconfig"),
        ("bin", _bin, "print the directory that holds kubectl, helm and the rest"),
        ("purge", _purge, "down, then remove the cache"),
    ):
        commands.add_parser(name, help=text, description=text).set_defaults(run=function)
    _add_gpu(commands)
    _add_keda(commands)
    _add_apiserver(commands)
    return parser


def _add_gpu(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "make the node offer N fake nvidia.com/gpu, for scheduling tests"
    gpu = commands.add_parser("gpu", help=text, description=text)
    gpu.add_argument("count", metavar="N", type=int)
    gpu.set_defaults(run=_gpu)


def _add_keda(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "install KEDA on the running cluster, or remove it; the first build takes minutes"
    keda = commands.add_parser("keda", help=text, description=text)
    keda.add_argument("what", choices=("up", "down"))
    keda.set_defaults(run=_keda)


def _add_apiserver(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "run only etcd and kube-apiserver on loopback until interrupted; print the kubeconfig"
    alone = commands.add_parser("apiserver", help=text, description=text)
    alone.add_argument(
        "--dir", type=Path, help="where data and keys go (default: a new one in /tmp)"
    )
    alone.add_argument("--port", type=int, default=0, help="default: a free one")
    alone.add_argument(
        "--audit", type=Path, metavar="FILE", help="log every request, as JSON lines"
    )
    alone.set_defaults(run=_apiserver)


def _apiserver(_: LocalCluster, arguments: argparse.Namespace) -> None:
    control_plane = ControlPlane.create(arguments.dir, arguments.port, arguments.audit)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), control_plane:
        print(control_plane.kubeconfig, flush=True)
        signal.pause()


def _gpu(cluster: LocalCluster, arguments: argparse.Namespace) -> None:
    cluster.fake_gpus(arguments.count)


def _keda(cluster: LocalCluster, arguments: argparse.Namespace) -> None:
    with _alone(cluster.places):
        keda = Keda(cluster)
        keda.up() if arguments.what == "up" else keda.down()


def _up(cluster: LocalCluster, _: argparse.Namespace) -> None:
    with _alone(cluster.places):
        cluster.up()
    say(f"the cluster is up; export KUBECONFIG={cluster.places.kubeconfig}")


def _down(cluster: LocalCluster, _: argparse.Namespace) -> None:
    with _alone(cluster.places), step("ending the cluster"):
        cluster.down()


def _purge(cluster: LocalCluster, _: argparse.Namespace) -> None:
    with _alone(cluster.places), step("ending the cluster and removing its cache"):
        purge(cluster.places)


def _status(cluster: LocalCluster, _: argparse.Namespace) -> int:
    states = Health(cluster.places).summary()
    for name, state in states.items():
        print(f"{name:<24}{state}")
    return 0 if states["node"] == "Ready" and states["dns"] == "answers" else 1


def _kubeconfig(cluster: LocalCluster, _: argparse.Namespace) -> None:
    print(cluster.places.kubeconfig)


def _bin(cluster: LocalCluster, _: argparse.Namespace) -> None:
    print(cluster.places.bin)


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    """Two people who start or end the cluster at once take turns."""
    if os.geteuid() != 0:
        raise ClusterError("a cluster needs root: run the same command with sudo")
    places.lock.parent.mkdir(parents=True, exist_ok=True)
    with places.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
