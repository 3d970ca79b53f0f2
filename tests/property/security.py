"""Pod Security `restricted`, as its standard words it."""

from collections.abc import Iterator, Mapping
from typing import Any

VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"}
    | {"projected", "secret"}
)


def violations(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of a pod's spec the profile does not allow."""
    for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        if spec.get(field):
            yield field
    for volume in spec.get("volumes", []):
        if set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume}"
    pod = spec.get("securityContext", {})
    if pod.get("runAsNonRoot") is not True or pod.get("runAsUser") == 0:
        yield "may run as root"
    if pod.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "no seccomp profile"
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        yield from (f"{container['name']}: {what}" for what in _container(container))


def _container(container: Mapping[str, Any]) -> Iterator[str]:
    context = container.get("securityContext", {})
    capabilities = context.get("capabilities", {})
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if capabilities.get("drop") != ["ALL"]:
        yield "keeps capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"
    if context.get("runAsUser") == 0 or context.get("runAsNonRoot") is False:
        yield "runs as root"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "host port"
