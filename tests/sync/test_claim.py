"""The claim for fetched weights: what it asks for, what cannot change."""

from decimal import Decimal

import pytest

from modelops.sync.catalogue import Catalogue, Platform
from modelops.sync.claim import amount
from modelops.sync.desired import Apply
from sync.world import CATALOGUE, IMAGES, manifests, model, passed, seen

HUB = {"uri": "hf://Qwen/Qwen3-0.6B"}
QUANTITIES = {
    "0": 0,
    "500m": Decimal("0.5"),
    "1.5Gi": 1536 * 1024**2,
    "1k": 1000,
    "1Ki": 1024,
    "50Gi": 50 * 1024**3,
    "1e3": 1000,
    "2E": 2 * 10**18,
    "2Ei": 2 * 1024**6,
    "three": None,
    "": None,
}


def claimed(size: str = "50Gi", storage_class: str | None = "fast") -> dict:
    """Return a claim as it is on the cluster."""
    claim = manifests(model(model=HUB))["PersistentVolumeClaim"]
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "storageClassName": storage_class,
        "volumeName": "pv-1",
    }
    return {**claim, "spec": spec}


def applied_claim(cache: dict, *children: dict, platform: Platform | None = None) -> dict:
    """Return the spec of the claim that a pass applies."""
    catalogue = Catalogue(platform=platform) if platform else CATALOGUE
    desired = passed(seen(model(model=HUB, cache=cache), *children), catalogue)
    applies = (w.manifest for w in desired.writes if isinstance(w, Apply))
    return next(m["spec"] for m in applies if m["kind"] == "PersistentVolumeClaim")


@pytest.mark.parametrize(("text", "number"), QUANTITIES.items())
def test_a_quantity_is_a_number(text: str, number: Decimal | None) -> None:
    """Kubernetes quantities are read exactly; what is none gives None."""
    assert amount(text) == number


def test_a_new_claim_takes_the_platforms_defaults() -> None:
    """Size and storage class come from the platform where the model says nothing."""
    platform = Platform(images=IMAGES, cache_size="7Gi", cache_storage_class="slow")
    spec = applied_claim({}, platform=platform)
    assert spec["resources"]["requests"]["storage"] == "7Gi"
    assert spec["storageClassName"] == "slow"


def test_new_defaults_leave_old_claims_alone() -> None:
    """A claim that exists keeps its size and class when the platform's defaults change."""
    platform = Platform(images=IMAGES, cache_size="7Gi", cache_storage_class="slow")
    spec = applied_claim({}, claimed(), platform=platform)
    assert spec["resources"]["requests"]["storage"] == "50Gi"
    assert spec["storageClassName"] == "fast"


def test_a_claim_may_grow() -> None:
    """A larger size is asked for."""
    assert applied_claim({"size": "60Gi"}, claimed())["resources"]["requests"]["storage"] == "60Gi"


@pytest.mark.parametrize(
    ("cache", "words"),
    [
        ({"size": "40Gi"}, "has 50Gi and can only grow: take spec.cache.size back"),
        ({"storageClassName": "other"}, "is of class fast for good"),
        ({"accessMode": "ReadWriteMany"}, "is ReadWriteOnce for good"),
    ],
)
def test_what_a_claim_cannot_become_is_refused(cache: dict, words: str) -> None:
    """A change that the API server would refuse for ever is told before anything is written."""
    desired = passed(seen(model(model=HUB, cache=cache), claimed()))
    assert desired.reason == "ClaimImmutable"
    assert words in desired.sentence
    assert desired.writes == ()
