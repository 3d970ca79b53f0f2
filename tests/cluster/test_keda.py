"""How KEDA is made fit for the local cluster."""

import json
from pathlib import Path

from e2e.cluster import golang
from e2e.cluster.keda import BINARIES, kustomization, scratch_images
from e2e.cluster.places import Places


def test_each_image_is_the_one_that_was_built() -> None:
    """What KEDA's manifests name is replaced by an image whose tag is its build's recipe."""
    named = {
        f"{one['newName']}:{one['newTag']}": one["name"] for one in kustomization("x")["images"]
    }
    built = {image.name for image in scratch_images(Places(Path("/c"), Path("/s")))}
    assert set(named) == built
    assert set(named.values()) == {f"ghcr.io/kedacore/{name}" for name in BINARIES}
    assert all(golang.recipe(binary) in " ".join(built) for binary in BINARIES.values())


def test_nothing_is_pulled_and_nobody_is_root() -> None:
    """Pods run as a user with a number, from images that no registry has."""
    patches = json.loads(kustomization("x")["patches"][0]["patch"])
    values = {patch["path"].rpartition("/")[2]: patch["value"] for patch in patches}
    assert values["imagePullPolicy"] == "IfNotPresent"
    assert values["runAsUser"] > 0
