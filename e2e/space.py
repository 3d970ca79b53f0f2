"""One story's namespace: apply models there, and wait on what becomes of them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from e2e.kube import Kube
from e2e.platform import Platform

Model = dict[str, Any]


@dataclass(frozen=True)
class Space:
    """A namespace that enforces Pod Security `restricted` and holds the tiny model's weights."""

    stage: Platform
    name: str

    @property
    def kube(self) -> Kube:
        """The cluster."""
        return self.stage.kube

    def model(self, name: str, **spec: Any) -> Model:
        """Apply a TextModel of the tiny weights, with these further fields, and return it.

        It asks for little CPU, so that many fit on the two cores of a small machine.
        """
        resources = {"cpu": "50m", **spec.pop("resources", {})}
        whole = {"model": {"uri": "pvc://models/tiny-llama"}, "resources": resources, **spec}
        manifest = {
            "apiVersion": "modelops.dev/v1alpha1",
            "kind": "TextModel",
            "metadata": {"name": name},
            "spec": whole,
        }
        self.kube.apply(manifest, namespace=self.name)
        return manifest

    def scale(self, name: str, **scaling: Any) -> None:
        """Change the fields of a model's spec.scaling that are named."""
        change = json.dumps({"spec": {"scaling": scaling}})
        self.kube.run("patch", "tm", name, "-n", self.name, "--type=merge", f"--patch={change}")

    def status(self, name: str) -> dict[str, Any]:
        """Return the status of a TextModel."""
        found = self.kube.get("textmodel", name, self.name)
        assert found is not None, f"there is no TextModel {name}"
        return {"generation": found["metadata"]["generation"], **found["status"]}

    def condition(self, name: str, kind: str = "Ready") -> dict[str, Any]:
        """Return a condition of a TextModel, empty until it is there for the newest generation."""
        status = self.status(name)
        listed = [c for c in status.get("conditions", []) if c["type"] == kind]
        current = [c for c in listed if c["observedGeneration"] == status["generation"]]
        return current[0] if current else {}

    def until_ready(self, name: str, seconds: float = 300) -> None:
        """Wait until a TextModel is Ready; fail with its sentence when it is not in time."""
        self.until(
            lambda: self.condition(name).get("status") == "True",
            seconds,
            lambda: f"{name} is not Ready: {self.condition(name)}",
        )

    def until_reason(self, name: str, reason: str, seconds: float) -> dict[str, Any]:
        """Wait until Ready has that reason, and return the condition."""
        self.until(
            lambda: self.condition(name).get("reason") == reason,
            seconds,
            lambda: f"{name} has not {reason} but {self.condition(name)}",
        )
        return self.condition(name)

    def until(
        self, holds: Callable[[], bool], seconds: float, complaint: Callable[[], str]
    ) -> None:
        """Wait until something holds; fail with the complaint when it does not in time."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"after {seconds:.0f} s: {complaint()}"
            time.sleep(0.5)

    def pods(self, model: str) -> list[dict[str, Any]]:
        """Return the pods of a TextModel."""
        return self.kube.all("pods", self.name, f"modelops.dev/model={model}")

    def delete(self, name: str) -> None:
        """Delete a TextModel and wait until its pods are gone."""
        self.kube.run("delete", "textmodel", name, "-n", self.name, "--wait")
        self.until(lambda: not self.pods(name), 120, lambda: f"{name}'s pods are still there")
