"""A Go toolchain, and binaries built once from pinned modules."""

import fcntl
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import debian
from e2e.cluster.shell import ClusterError, run, step

VERSION = "1.26.8"
MODULES = Path(__file__).parent / "go"


@dataclass(frozen=True, slots=True)
class Binary:
    """A command of a pinned module: `module` is a folder here, `version` is for people."""

    name: str
    module: str
    package: str
    version: str
    ldflags: str = "-s -w"


def _kubernetes(name: str) -> Binary:
    version = "v1.34.4"
    stamps = " ".join(
        f"-X k8s.io/component-base/version.{key}={value}"
        for key, value in {"gitVersion": version, "gitMajor": "1", "gitMinor": "34"}.items()
    )
    return Binary(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", version, f"-s -w {stamps}")


def _keda(name: str, command: str) -> Binary:
    module, version = "github.com/kedacore/keda/v2", "v2.21.0"
    stamp = f"-s -w -X {module}/version.Version={version.removeprefix('v')}"
    return Binary(name, "keda", f"{module}/cmd/{command}", version, stamp)


APISERVER = _kubernetes("kube-apiserver")
CONTROLLER_MANAGER = _kubernetes("kube-controller-manager")
SCHEDULER = _kubernetes("kube-scheduler")
KUBELET = _kubernetes("kubelet")
PROXY = _kubernetes("kube-proxy")
KUBECTL = _kubernetes("kubectl")
ETCD = Binary("etcd", "etcd", "go.etcd.io/etcd/server/v3", "v3.6.8")
COREDNS = Binary("coredns", "addons", "./coredns", "v1.15.0")
HELM = Binary("helm", "helm", "helm.sh/helm/v4/cmd/helm", "v4.3.1")
VERSITYGW = Binary("versitygw", "versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0")
PROMETHEUS = Binary(
    "prometheus", "prometheus", "github.com/prometheus/prometheus/cmd/prometheus", "v0.316.0"
)
PAUSE = Binary("pause", "pause", ".", "v1")
KEDA = _keda("keda", "operator")
KEDA_ADAPTER = _keda("keda-adapter", "adapter")
VOLUMES = Binary("volumes", "addons", "./volumes", "v1")

CLUSTER = (
    APISERVER,
    CONTROLLER_MANAGER,
    SCHEDULER,
    KUBELET,
    PROXY,
    KUBECTL,
    ETCD,
    COREDNS,
    HELM,
    PAUSE,
    VOLUMES,
)
ALL = (*CLUSTER, VERSITYGW, KEDA, KEDA_ADAPTER, PROMETHEUS)


def recipe(binary: Binary, toolchain: str = VERSION) -> str:
    """Content address of what is built from what: twelve hex digits."""
    digest = hashlib.sha256(json.dumps([toolchain, binary.package, binary.ldflags]).encode())
    for path in sorted((MODULES / binary.module).rglob("*.*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def build(binaries: tuple[Binary, ...], store: Path, links: Path) -> None:
    """Build what the store lacks and point `links/<name>` at each binary."""
    if _lacking(binaries, store):
        store.mkdir(parents=True, exist_ok=True)
        with (store / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # who comes second finds the work done
            _build_all(_lacking(binaries, store), store)
    links.mkdir(parents=True, exist_ok=True)
    for binary in binaries:
        _link(links / binary.name, stored(binary, store))


def _lacking(binaries: tuple[Binary, ...], store: Path) -> list[Binary]:
    return [binary for binary in binaries if not stored(binary, store).exists()]


def _build_all(binaries: list[Binary], store: Path) -> None:
    if not binaries:
        return
    go = toolchain(store)
    for binary in binaries:
        with step(f"building {binary.name} {binary.version}"):
            _build(go, binary, stored(binary, store))


def stored(binary: Binary, store: Path) -> Path:
    """Where the store keeps this binary."""
    return store / f"{binary.name}-{binary.version}-{recipe(binary)}"


def toolchain(store: Path) -> Path:
    """The go command: the machine's when it is new enough, else the wanted toolchain module."""
    for found in filter(None, (shutil.which("go"), "/usr/local/go/bin/go")):
        if Path(found).exists() and _new_enough(Path(found)):
            return Path(found)
    debian.install(("golang-go",))
    with step(f"fetching the Go {VERSION} toolchain module"):
        return _toolchain_module(store)


def source(module: str, path: str, store: Path) -> Path:
    """The folder of a Go module's source, as `module` (a folder here) pins it."""
    store.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    go, folder = toolchain(store), MODULES / module
    output = run(go, "mod", "download", "-json", path, cwd=folder, env=env)
    return Path(json.loads(output)["Dir"])


def _new_enough(go: Path) -> bool:
    output = run(go, "version", env={**os.environ, "GOTOOLCHAIN": "local"})
    match = re.search(r"\bgo(\d+)\.(\d+)", output)
    wanted = tuple(int(part) for part in VERSION.split(".")[:2])
    return match is not None and (int(match[1]), int(match[2])) >= wanted


def _toolchain_module(store: Path) -> Path:
    """Old go commands cannot switch toolchains themselves, but can download any module."""
    module = f"golang.org/toolchain@v0.0.1-go{VERSION}.linux-{_architecture()}"
    env = {**os.environ, "GO111MODULE": "on", "GOTOOLCHAIN": "local"}
    output = run("go", "mod", "download", "-json", module, cwd=store, env=env)
    root = Path(json.loads(output)["Dir"])
    for path in (*root.glob("bin/*"), *root.glob("pkg/tool/*/*")):
        path.chmod(0o755)  # the module cache drops the executable bit
    return root / "bin" / "go"


def _architecture() -> str:
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    machine = os.uname().machine
    if machine not in names:
        raise ClusterError(f"no Go toolchain is known for {machine}; install Go {VERSION} yourself")
    return names[machine]


def _build(go: Path, binary: Binary, target: Path) -> None:
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    env = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    flags = ("-trimpath", "-buildvcs=false", "-ldflags", binary.ldflags)
    run(go, "build", *flags, "-o", draft, binary.package, cwd=MODULES / binary.module, env=env)
    draft.rename(target)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    draft = link.with_name(f".{link.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.rename(link)
