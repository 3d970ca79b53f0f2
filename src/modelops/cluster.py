"""A handful of verbs on a cluster, over one seam: a transport that carries a single request."""

import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

from aiohttp import ClientError, ClientTimeout
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from modelops.api.base import API_VERSION
from modelops.api.builds import BUILDS
from modelops.api.kind import Kind
from modelops.sync.observed import Ref

PLURALS: Final = MappingProxyType(
    {
        ("v1", "ConfigMap"): "configmaps",
        ("v1", "Namespace"): "namespaces",
        ("v1", "Pod"): "pods",
        ("v1", "PersistentVolumeClaim"): "persistentvolumeclaims",
        ("v1", "Secret"): "secrets",
        ("v1", "Service"): "services",
        ("apps/v1", "Deployment"): "deployments",
        ("batch/v1", "Job"): "jobs",
        ("networking.k8s.io/v1", "NetworkPolicy"): "networkpolicies",
        ("policy/v1", "PodDisruptionBudget"): "poddisruptionbudgets",
        ("inference.networking.k8s.io/v1", "InferencePool"): "inferencepools",
        ("gateway.networking.k8s.io/v1", "HTTPRoute"): "httproutes",
        ("keda.sh/v1alpha1", "ScaledObject"): "scaledobjects",
        ("keda.sh/v1alpha1", "TriggerAuthentication"): "triggerauthentications",
        ("discovery.k8s.io/v1", "EndpointSlice"): "endpointslices",
        ("events.k8s.io/v1", "Event"): "events",
        ("coordination.k8s.io/v1", "Lease"): "leases",
        **{(API_VERSION, kind.name): kind.plural for kind in BUILDS.values()},
    }
)
"""How the API server spells each (apiVersion, kind) that objects of ours own, in a path."""

_UNTYPED: Final = "failed to create typed patch object"
"""How the API server speaks of fields that a schema does not know; it sends 500 with it."""

_WEBHOOK: Final = "Internal error occurred: failed calling webhook"
"""How it speaks of an admission webhook that does not answer; that can last for days."""

_UNASKED: Final = -(2**31)
"""How the API server spells the replicas of a scale that nobody has asked for."""

TIMEOUT: Final = ClientTimeout(total=30, sock_connect=10)
WATCH_SECONDS: Final = 60
"""A watch is renewed this often, so that one which died unnoticed is missed for no longer."""

WATCH_TIMEOUT: Final = ClientTimeout(total=None, sock_connect=10, sock_read=WATCH_SECONDS + 15)
PAGE: Final = 500
"""Objects in one answer of a list."""

LONGEST_TAIL: Final = 65536
"""Bytes of a log that are read; what a container prints must not fill our memory."""

RECURSION_LIMIT: Final = 50_000
"""What a program that reads a cluster sets Python's limit to: the API server stores objects that
are nested 10,000 deep, and one that cannot be read would hide all others of its list."""

log = logging.getLogger(__name__)


class ClusterError(Exception):
    """The API server's answer to a request that it did not carry out, in its own words."""


class NotFound(ClusterError):
    """There is no such object, or no such kind."""


class Refused(ClusterError):
    """The API server understood the request and will not do it, however often it is asked."""


class Conflict(Refused):
    """Another object or a newer version stands in the way (409)."""


class Invalid(Refused):
    """The object is not valid (400, 422)."""


class Forbidden(Refused):
    """A rule, a quota or an admission policy forbids it (403)."""


class Unreachable(ClusterError):
    """The API server cannot be reached, or cannot answer now; the same request may work later."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the HTTP status and the body."""

    status: int
    body: bytes


Body = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A request's JSON."""


class Transport(Protocol):
    """Carries one request to an API server. Raises Unreachable when there is no answer."""

    async def request(self, method: str, path: str, body: Body | None, content_type: str) -> Answer:
        """Return the answer to a request; `path` includes the query."""
        ...

    def lines(self, path: str) -> AsyncIterator[bytes]:
        """Yield the lines of a long answer as they come; raises ClusterError when it breaks."""
        ...


OnCall = Callable[[str, str, int], None]
"""Is told the verb, the resource and the HTTP status (0: unreachable) of every request."""


def plurals(kinds: Mapping[str, Kind]) -> Mapping[tuple[str, str], str]:
    """Return the path names of the built-in kinds and of those of a catalogue."""
    return {**PLURALS, **{(API_VERSION, kind.name): kind.plural for kind in kinds.values()}}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The verbs. All raise ClusterError, most often one of its kinds."""

    transport: Transport
    plurals: Mapping[tuple[str, str], str] = field(default_factory=lambda: PLURALS)
    on_call: OnCall = lambda *_: None

    async def get(self, ref: Ref) -> dict[str, Any]:
        """Return an object; raises NotFound."""
        return await self._json("get", "GET", self._path(ref))

    async def survey(
        self, api_version: str, kind: str, namespace: str | None, labels: Mapping[str, str]
    ) -> tuple[list[dict[str, Any]], str]:
        """Return what `list` returns, and the version from which `watch` goes on."""
        path = self._collection(api_version, kind, namespace)
        query = {"limit": str(PAGE), **_selector(labels)}
        items: list[dict[str, Any]] = []
        while True:
            page = await self._json("list", "GET", f"{path}?{urlencode(query)}")
            items += [{"apiVersion": api_version, "kind": kind} | i for i in page["items"]]
            more = page["metadata"].get("continue")
            if not more:
                return items, str(page["metadata"].get("resourceVersion", ""))
            query["continue"] = more

    async def list(
        self, api_version: str, kind: str, namespace: str | None, labels: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Return the objects of a kind that have all the labels; namespace None is everywhere."""
        return (await self.survey(api_version, kind, namespace, labels))[0]

    async def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        labels: Mapping[str, str],
        version: str,
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield what happens after a version, for a minute: ADDED, MODIFIED, DELETED, BOOKMARK.

        Each comes with its object. Raises ClusterError when the watch breaks, or when the version
        is too old to go on from.
        """
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        query |= {"timeoutSeconds": str(WATCH_SECONDS), **_selector(labels)}
        path = f"{self._collection(api_version, kind, namespace)}?{urlencode(query)}"
        self.on_call("watch", _resource(path), 200)
        async for line in self.transport.lines(path):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise Unreachable(str(event["object"].get("message")))
            yield event["type"], event["object"]

    async def apply(self, manifest: Mapping[str, Any], manager: str) -> dict[str, Any]:
        """Server-side apply: make the manager's fields exactly those of the manifest."""
        path = self._path(Ref.of(manifest))
        return await self._apply(path, manifest, manager)

    async def apply_status(
        self, ref: Ref, uid: str, status: Mapping[str, Any], manager: str
    ) -> dict[str, Any]:
        """Report a status; fields reported before and left out now are removed.

        Raises Conflict when the object with that uid is gone and another took its name.
        """
        manifest = {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "metadata": {"name": ref.name, "namespace": ref.namespace, "uid": uid},
            "status": status,
        }
        return await self._apply(f"{self._path(ref)}/status", manifest, manager)

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object; raises Conflict when its name is taken."""
        ref = Ref.of(manifest)
        path = self._collection(ref.api_version, ref.kind, ref.namespace)
        return await self._json("create", "POST", path, manifest)

    async def replace(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object; raises Conflict when its resourceVersion is not the newest."""
        return await self._json("update", "PUT", self._path(Ref.of(manifest)), manifest)

    async def scale(self, ref: Ref, before: int | None, replicas: int, manager: str) -> None:
        """Ask for so many replicas in place of `before`; None: nobody has asked yet.

        Raises Invalid when another number is asked for by now. That of zero is left out where a
        scale is JSON, and that of nobody stands there as the lowest number that there is.
        """
        path = f"{self._path(ref)}/scale?{urlencode({'fieldManager': manager})}"
        known = _UNASKED if before is None else before or None
        place = "/spec/replicas"
        steps: Body = [
            {"op": "test", "path": place, "value": known},
            {"op": "add", "path": place, "value": replicas},
        ]
        await self._json("patch", "PATCH", path, steps, "application/json-patch+json")

    async def delete(self, ref: Ref, uid: str, propagation: str = "Background") -> None:
        """Delete the object with that uid; raises Conflict when the name has another by now."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {"uid": uid},
        }
        await self._json("delete", "DELETE", self._path(ref), options)

    async def tail(
        self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False
    ) -> str:
        """Return the last lines of a container's log, or of its previous run's; 64 KiB at most."""
        chosen = {"tailLines": str(lines), "limitBytes": str(LONGEST_TAIL)}
        run = {"previous": "true"} if previous else {}
        query = urlencode({"container": container, **chosen, **run})
        path = f"{self._path(Ref('v1', 'Pod', namespace, pod))}/log?{query}"
        body = await self._ask("get", "GET", path, None, "application/json")
        return body.decode(errors="replace").rstrip("\n")

    async def _apply(self, path: str, manifest: Mapping[str, Any], manager: str) -> dict[str, Any]:
        query = urlencode({"fieldManager": manager, "force": "true"})
        return await self._json(
            "patch", "PATCH", f"{path}?{query}", manifest, "application/apply-patch+yaml"
        )

    async def _json(
        self,
        verb: str,
        method: str,
        path: str,
        body: Body | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        answer = json.loads(await self._ask(verb, method, path, body, content_type))
        if not isinstance(answer, dict):
            raise Unreachable(f"{method} {path} was answered with {type(answer).__name__}")
        return answer

    async def _ask(
        self, verb: str, method: str, path: str, body: Body | None, content_type: str
    ) -> bytes:
        resource = _resource(path)
        try:
            answer = await self.transport.request(method, path, body, content_type)
        except Unreachable:
            self.on_call(verb, resource, 0)
            raise
        self.on_call(verb, resource, answer.status)
        if answer.status >= 300:
            raise error(answer)
        return answer.body

    def _path(self, ref: Ref) -> str:
        path = self._collection(ref.api_version, ref.kind, ref.namespace)
        return f"{path}/{quote(ref.name, safe='')}"

    def _collection(self, api_version: str, kind: str, namespace: str | None) -> str:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        within = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        return f"{root}{within}/{self.plurals[api_version, kind]}"


def _selector(labels: Mapping[str, str]) -> dict[str, str]:
    chosen = ",".join(f"{key}={value}" for key, value in labels.items())
    return {"labelSelector": chosen} if chosen else {}


def _resource(path: str) -> str:
    """Return the resource that a path speaks of, as RBAC rules spell it: `pods/log`."""
    parts = path.partition("?")[0].split("/")[1:]
    parts = parts[3:] if parts[0] == "apis" else parts[2:]
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    return "/".join(parts[0::2])


def error(answer: Answer) -> ClusterError:
    """Return the error that an answer stands for, with the API server's sentence."""
    message = _message(answer)
    if message.startswith(_UNTYPED):
        return Invalid(message)
    if message.startswith(_WEBHOOK):
        return Refused(message)
    known: dict[int, type[ClusterError]] = {
        400: Invalid, 403: Forbidden, 404: NotFound, 409: Conflict, 422: Invalid
    }  # fmt: skip
    if answer.status in known:
        return known[answer.status](message)
    transient = answer.status >= 500 or answer.status in {401, 408, 429}
    return Unreachable(message) if transient else Refused(message)


def _message(answer: Answer) -> str:
    try:
        status = json.loads(answer.body)
        return str(status["message"])
    except (ValueError, KeyError, TypeError):
        words = answer.body.decode(errors="replace").strip()
        return f"HTTP status {answer.status}: {words[:300] or 'no message'}"


class ApiServer:
    """The transport to a real API server."""

    def __init__(self, configuration: Configuration) -> None:
        """Talk to the server of that configuration, with its credentials."""
        self._client = ApiClient(configuration)
        self._host = str(configuration.host).rstrip("/")

    @classmethod
    async def connect(cls) -> "ApiServer":
        """Return the transport that the environment names: KUBECONFIG, a pod's own, ~/.kube."""
        configuration = Configuration()
        if "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG"):
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
        return cls(configuration)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def request(self, method: str, path: str, body: Body | None, content_type: str) -> Answer:
        """Return the answer to one request; raises Unreachable when there is none."""
        try:
            response = await self._send(method, path, body, content_type, TIMEOUT)
            content = await response.read()
            return Answer(response.status, content)
        except (ClientError, OSError, TimeoutError) as cause:
            raise self._silence(cause) from cause

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """Yield the lines of a long answer as they come; raises ClusterError when it breaks."""
        try:
            response = await self._send("GET", path, None, "application/json", WATCH_TIMEOUT)
            if response.status >= 300:
                raise error(Answer(response.status, await response.read()))
            rest = b""
            async for chunk in response.response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
        except (ClientError, OSError, TimeoutError) as cause:
            raise self._silence(cause) from cause

    async def _send(
        self,
        method: str,
        path: str,
        body: Body | None,
        content_type: str,
        patience: ClientTimeout,
    ) -> Any:
        headers = {"Accept": "application/json, */*", "Content-Type": content_type}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        return await self._client.call_api(
            method, self._host + path, headers, body, _request_timeout=patience
        )

    def _silence(self, cause: Exception) -> Unreachable:
        told = str(cause) or type(cause).__name__
        return Unreachable(f"the API server at {self._host} does not answer ({told})")
