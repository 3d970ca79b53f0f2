"""What one pass sees: the object, its children, its pods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from modelops.api.base import API_VERSION, GROUP
from modelops.api.builds.modelbuild import KIND as MODEL_BUILD
from modelops.api.kind import Kind
from modelops.api.serving import ServingKind
from modelops.scaling.decision import Decision

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ref:
    """The address of one object on the cluster."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> "Ref":
        """Return the address of a manifest."""
        meta = manifest["metadata"]
        return cls(manifest["apiVersion"], manifest["kind"], meta["namespace"], meta["name"])


@dataclass(frozen=True, slots=True)
class ChildType:
    """A type of object that a model may own, and the name that its child has."""

    api_version: str
    kind: str
    suffix: str = ""

    def ref(self, namespace: str, name: str) -> Ref:
        """Return the address of the child of the model with that name."""
        return Ref(self.api_version, self.kind, namespace, name + self.suffix)


CLAIM: Final = ChildType("v1", "PersistentVolumeClaim", "-weights")
BUILD: Final = ChildType(API_VERSION, MODEL_BUILD.name, "-build")
SERVICE: Final = ChildType("v1", "Service")
DEPLOYMENT: Final = ChildType("apps/v1", "Deployment")
BUDGET: Final = ChildType("policy/v1", "PodDisruptionBudget")
NETWORK: Final = ChildType("networking.k8s.io/v1", "NetworkPolicy")
CHILD_TYPES: Final = (CLAIM, BUILD, SERVICE, NETWORK, DEPLOYMENT, BUDGET)
"""In the order in which they are applied."""

POOL: Final = ChildType("inference.networking.k8s.io/v1", "InferencePool")
ROUTE: Final = ChildType("gateway.networking.k8s.io/v1", "HTTPRoute")
ATTACHING_TYPES: Final = (POOL, ROUTE)
TRIGGER_SECRET: Final = ChildType("keda.sh/v1alpha1", "TriggerAuthentication", "-trigger-0")
"""The first of them: each trigger that needs a secret has one, of its own number."""

SCALED_OBJECT: Final = ChildType("keda.sh/v1alpha1", "ScaledObject")
KEDA_TYPES: Final = (TRIGGER_SECRET, SCALED_OBJECT)
OPTIONAL_TYPES: Final = (*ATTACHING_TYPES, *KEDA_TYPES)
"""Those whose kinds a cluster may lack, applied after all others."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An object that passes look at, and the objects that they may write for it, as they are."""

    kind: Kind
    resource: Manifest
    children: Mapping[Ref, Manifest] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.resource["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return str(self.resource["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """The object's uid; empty for one that no cluster has seen."""
        return str(self.resource["metadata"].get("uid", ""))

    @property
    def generation(self) -> int:
        """The generation of the model's spec."""
        return int(self.resource["metadata"].get("generation", 1))

    def owns(self, manifest: Manifest) -> bool:
        """Tell whether the object is the controller of an object."""
        owners = manifest["metadata"].get("ownerReferences", [])
        return any(o.get("controller") and o["uid"] == self.uid for o in owners)


@dataclass(frozen=True, slots=True)
class Observed(Subject):
    """A model and what the cluster holds of it.

    ``children`` holds every object that carries the model's labels or one of its children's
    names, whoever made it; ``progress`` is the last line of the container that fetches weights;
    ``logs`` holds, by pod, the last lines of an engine that crashed; ``lacking`` are the optional
    types that were looked for and that the cluster does not know; ``decision`` is how many replicas
    the gateway says that it needs, None when it does not say; ``note`` is what there is to say of
    priorities among models and ``keda_trouble`` why KEDA does not scale it where it should, both
    empty most often.
    """

    kind: ServingKind
    pods: tuple[Manifest, ...] = ()
    progress: Manifest | None = None
    logs: Mapping[str, str] = field(default_factory=dict)
    lacking: frozenset[ChildType] = frozenset()
    decision: Decision | None = None
    note: str = ""
    keda_trouble: str = ""

    def child(self, child_type: ChildType) -> Manifest | None:
        """Return the live child of that type, if there is one."""
        return self.children.get(child_type.ref(self.namespace, self.name))


def labels(kind: ServingKind, name: str) -> dict[str, str]:
    """Return the labels that select a model's pods and children."""
    return {f"{GROUP}/kind": kind.name, f"{GROUP}/model": name}
