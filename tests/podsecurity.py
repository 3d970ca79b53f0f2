"""Kubernetes' Pod Security Standard `restricted` (v1.34, Linux pods), as a pure function."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Json = Mapping[str, Any]

VOLUMES: Final = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"}
    | {"persistentVolumeClaim", "projected", "secret"}
)
SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
SELINUX_TYPES: Final = frozenset(
    {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
)
CONFINED: Final = frozenset({"RuntimeDefault", "Localhost"})
APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")


def violations(template: Json) -> list[str]:
    """Return what keeps a pod (or a pod template) from passing `restricted`; empty: it passes."""
    pod = template["spec"]
    of_pod = (f"pod: {fault}" for check in POD_CHECKS for fault in check(template))
    of_containers = (
        f"container {container['name']}: {fault}"
        for container in containers(pod)
        for check in CONTAINER_CHECKS
        for fault in check(container, pod)
    )
    return [*of_pod, *of_containers]


def containers(pod: Json) -> Iterator[Json]:
    """Return all containers of a pod, of whatever sort."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod.get(field) or []


def context(owner: Json) -> Json:
    """Return the security context of a pod or a container."""
    return owner.get("securityContext") or {}


def _host_namespaces(template: Json) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if template["spec"].get(field):
            yield f"{field} is true"


def _volumes(template: Json) -> Iterator[str]:
    for volume in template["spec"].get("volumes") or []:
        for kind in volume.keys() - {"name"} - VOLUMES:
            yield f"volume {volume['name']} is a {kind}"


def _sysctls(template: Json) -> Iterator[str]:
    for sysctl in context(template["spec"]).get("sysctls") or []:
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"


def _apparmor_annotations(template: Json) -> Iterator[str]:
    for name, value in ((template.get("metadata") or {}).get("annotations") or {}).items():
        confined = value in {"", "runtime/default"} or value.startswith("localhost/")
        if name.startswith(APPARMOR) and not confined:
            yield f"annotation {name} is {value}"


def _pod_identity(template: Json) -> Iterator[str]:
    yield from _identity(context(template["spec"]))


def _container_identity(container: Json, _: Json) -> Iterator[str]:
    yield from _identity(context(container))


def _identity(given: Json) -> Iterator[str]:
    """Return the faults of what pods and containers spell alike."""
    selinux = given.get("seLinuxOptions") or {}
    if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions has a type that is not allowed, a user or a role"
    if (given.get("appArmorProfile") or {"type": "RuntimeDefault"})["type"] not in CONFINED:
        yield "appArmorProfile is Unconfined"
    if (given.get("windowsOptions") or {}).get("hostProcess"):
        yield "hostProcess is true"
    if given.get("runAsUser") == 0:
        yield "runAsUser is 0"


def _privilege(container: Json, _: Json) -> Iterator[str]:
    given = context(container)
    if given.get("privileged"):
        yield "privileged is true"
    if given.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if given.get("procMount") not in {None, "Default"}:
        yield "procMount is not Default"


def _capabilities(container: Json, _: Json) -> Iterator[str]:
    given = context(container).get("capabilities") or {}
    if "ALL" not in (given.get("drop") or []):
        yield "capabilities.drop lacks ALL"
    for added in set(given.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield f"capabilities.add has {added}"


def _non_root(container: Json, pod: Json) -> Iterator[str]:
    own = context(container).get("runAsNonRoot")
    if own is False or not (own or context(pod).get("runAsNonRoot")):
        yield "runAsNonRoot is not true"


def _seccomp(container: Json, pod: Json) -> Iterator[str]:
    given = context(container).get("seccompProfile") or context(pod).get("seccompProfile") or {}
    if given.get("type") not in CONFINED:
        yield "seccompProfile is not RuntimeDefault or Localhost"


def _host_ports(container: Json, _: Json) -> Iterator[str]:
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield f"hostPort {port['hostPort']}"


def _probe_hosts(container: Json, _: Json) -> Iterator[str]:
    handlers = [container.get(name) for name in PROBES]
    handlers += (container.get("lifecycle") or {}).values()
    for handler in filter(None, handlers):
        for action in ("httpGet", "tcpSocket"):
            if (handler.get(action) or {}).get("host"):
                yield f"a probe or hook asks host {handler[action]['host']}"


POD_CHECKS: Final[tuple[Callable[[Json], Iterator[str]], ...]] = (
    _host_namespaces,
    _volumes,
    _sysctls,
    _apparmor_annotations,
    _pod_identity,
)
CONTAINER_CHECKS: Final[tuple[Callable[[Json, Json], Iterator[str]], ...]] = (
    _container_identity,
    _privilege,
    _capabilities,
    _non_root,
    _seccomp,
    _host_ports,
    _probe_hosts,
)
