"""A small client for tests: it says what a user, a controller or a kubelet would say."""

import base64
import ssl
import tempfile
from pathlib import Path
from typing import Any

import httpx
import yaml

from modelops.api.base import API_VERSION
from modelops.api.group import EVERY_KIND

PLURALS = {
    **{kind.name: kind.plural for kind in EVERY_KIND.values()},
    "Job": "jobs",
    "Deployment": "deployments",
    "Service": "services",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "NetworkPolicy": "networkpolicies",
    "InferencePool": "inferencepools",
    "HTTPRoute": "httproutes",
    "ScaledObject": "scaledobjects",
    "TriggerAuthentication": "triggerauthentications",
    "Pod": "pods",
    "Namespace": "namespaces",
    "ServiceAccount": "serviceaccounts",
    "Event": "events",
    "Lease": "leases",
    "CustomResourceDefinition": "customresourcedefinitions",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}
RBAC = "rbac.authorization.k8s.io/v1"
GROUPS = {
    **dict.fromkeys(EVERY_KIND, API_VERSION),
    "Job": "batch/v1",
    "Deployment": "apps/v1",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "InferencePool": "inference.networking.k8s.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "ScaledObject": "keda.sh/v1alpha1",
    "TriggerAuthentication": "keda.sh/v1alpha1",
    "Event": "events.k8s.io/v1",
    "Lease": "coordination.k8s.io/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "ClusterRole": RBAC,
    "ClusterRoleBinding": RBAC,
    "Role": RBAC,
    "RoleBinding": RBAC,
}
Manifest = dict[str, Any]


class Refusal(Exception):
    """What the API server said to a request that it refused."""


class Api:
    """The API server of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.NamedTemporaryFile() as both:
            for part in ("client-certificate-data", "client-key-data"):
                both.write(base64.b64decode(user[part]))
            both.flush()
            context.load_cert_chain(both.name)
        self._client = httpx.Client(base_url=cluster["server"], verify=context, timeout=60)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def answers(self) -> bool:
        """Tell whether the API server answers."""
        try:
            return self.find("Namespace", None, "default") is not None
        except httpx.TransportError:
            return False

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        **given: Any,
    ) -> Any:
        """Return the answer to any request; raises Refusal with the server's message."""
        headers = {"Content-Type": content_type, **given.pop("headers", {})}
        answer = self._client.request(method, path, json=body, headers=headers, **given)
        if answer.is_success:
            return answer.json()
        raise Refusal(answer.json().get("message", answer.text))

    def path(self, kind: str, namespace: str | None, name: str = "") -> str:
        """Return the path of an object or of a list."""
        group = GROUPS.get(kind)
        root = f"/apis/{group}" if group else "/api/v1"
        within = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{within}/{PLURALS[kind]}" + (f"/{name}" if name else "")

    def create(self, manifest: Manifest, **given: Any) -> Manifest:
        """Create an object, with strict validation of its fields."""
        path = self.path(manifest["kind"], manifest["metadata"].get("namespace"))
        strict = {"fieldValidation": "Strict", **given.pop("params", {})}
        return self.raw("POST", path, manifest, params=strict, **given)

    def get(self, kind: str, namespace: str | None, name: str) -> Manifest:
        """Return an object."""
        return self.raw("GET", self.path(kind, namespace, name))

    def find(self, kind: str, namespace: str | None, name: str) -> Manifest | None:
        """Return an object, or None when there is none."""
        try:
            return self.get(kind, namespace, name)
        except Refusal:
            return None

    def all(self, kind: str, namespace: str | None) -> list[Manifest]:
        """Return the objects of a kind."""
        return self.raw("GET", self.path(kind, namespace))["items"]

    def merge(
        self, kind: str, namespace: str | None, name: str, patch: Manifest, part: str = ""
    ) -> Manifest:
        """Merge-patch an object or a subresource of it."""
        path = self.path(kind, namespace, name) + (f"/{part}" if part else "")
        return self.raw("PATCH", path, patch, "application/merge-patch+json")

    def delete(self, kind: str, namespace: str | None, name: str) -> None:
        """Delete an object, without a grace period."""
        self.raw("DELETE", self.path(kind, namespace, name), {"gracePeriodSeconds": 0})
