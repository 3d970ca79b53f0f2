"""What one pass sees of a ModelBuild: the object, those beside it, the Jobs, its pods."""

from dataclasses import dataclass
from typing import Final

from modelops.api.base import GROUP
from modelops.sync.observed import Manifest, Ref, Subject

JOB: Final = ("batch/v1", "Job")
CLAIM: Final = ("v1", "PersistentVolumeClaim")
STORE: Final = "modelops-artifacts"
"""The claim of a namespace that artifacts are kept on, unless an object names another."""

BUILD_LABEL: Final = f"{GROUP}/build"
"""On Jobs and their pods: the beginning of the artifact's digest."""


@dataclass(frozen=True, slots=True)
class ObservedBuild(Subject):
    """A ModelBuild and what the cluster holds of it.

    ``children`` holds all Jobs of builds in the namespace and the claim that artifacts are kept on;
    ``peers`` are all ModelBuilds of the namespace, this one too; ``pods`` are those of its Job;
    ``progress`` is the last line of the container that is at work.
    """

    peers: tuple[Manifest, ...] = ()
    pods: tuple[Manifest, ...] = ()
    progress: Manifest | None = None

    def job(self, name: str) -> Manifest | None:
        """Return the Job of that name, if there is one."""
        return self.children.get(Ref(*JOB, self.namespace, name))

    @property
    def jobs(self) -> tuple[Manifest, ...]:
        """All Jobs of builds in the namespace."""
        return tuple(child for ref, child in self.children.items() if ref.kind == JOB[1])

    def has_store(self) -> bool:
        """Tell whether the namespace's own claim is there."""
        return Ref(*CLAIM, self.namespace, STORE) in self.children


def build_labels(address: str = "") -> dict[str, str]:
    """Return the labels of the Job, and of the pods, that make an artifact; empty: of all."""
    one = {BUILD_LABEL: address[:32]} if address else {}
    return {"app.kubernetes.io/managed-by": "modelops", f"{GROUP}/kind": "ModelBuild", **one}
