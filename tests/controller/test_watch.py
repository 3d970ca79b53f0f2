"""The laws of what is watched."""

from itertools import islice
from typing import Any

import kopf
import pytest

from controller.conftest import CATALOGUE, REF
from modelops.controller.watch import WATCHED, Patience, owners, preferences, watcher

OWNER = {"apiVersion": REF.api_version, "kind": REF.kind, "name": REF.name, "controller": True}


async def _nothing() -> None:
    return None


def test_kinds_and_children_are_watched_and_nothing_else() -> None:
    """Every kind of the catalogue and every type of child has one handler, no pod has any."""
    registry = watcher(CATALOGUE, lambda _: None, _nothing, _nothing)
    watched = {h.selector.any_name for h in registry._watching.get_all_handlers()}  # noqa: SLF001
    children = {"deployments", "services", "persistentvolumeclaims", "poddisruptionbudgets"}
    children |= {"networkpolicies", "jobs"}
    assert watched == {kind.plural for kind in CATALOGUE.looked_at.values()} | children
    assert len(children) == len(WATCHED)


def test_kopf_writes_nothing_to_objects() -> None:
    """No handler needs finalizers or annotations, and kopf posts no Events."""
    registry = watcher(CATALOGUE, lambda _: None, _nothing, _nothing)
    assert not registry._changing.get_all_handlers()  # noqa: SLF001
    assert not registry._spawning.get_all_handlers()  # noqa: SLF001
    assert not preferences().posting.enabled


def test_kopf_reads_nothing_from_objects() -> None:
    """An annotation of kopf's own that nobody can read keeps no event from us."""
    junk = {"kopf.zalando.org/last-handled-configuration": "{no JSON"}
    body = kopf.Body({"metadata": {"annotations": junk}})
    assert preferences().persistence.diffbase_storage.fetch(body=body) is None


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, True),
        ({"controller": False}, False),
        ({"kind": "Stranger"}, False),
        ({"apiVersion": "other.dev/v1"}, False),
        ({"apiVersion": "modelops.dev/v1beta1"}, True),
    ],
)
def test_a_child_leads_to_its_owner(change: dict[str, Any], found: bool) -> None:  # noqa: FBT001
    """Only the controlling owner of one of our kinds is looked at."""
    metadata = {"namespace": REF.namespace, "ownerReferences": [{**OWNER, **change}]}
    assert list(owners({"metadata": metadata}, CATALOGUE)) == ([REF] if found else [])


def test_patience_never_ends() -> None:
    """The pauses between requests grow to five seconds and go on for ever."""
    assert list(islice(Patience(), 1000))[-1] == 5
    assert list(islice(Patience(), 3)) == [0.5, 1, 2]


def test_a_job_leads_to_all_that_share_it() -> None:
    """Builds own their Job together: none controls it, and each is looked at."""
    shared = [{**OWNER, "kind": "ModelBuild", "name": name} for name in ("one", "two")]
    metadata = {
        "namespace": "team",
        "ownerReferences": [{**o, "controller": False} for o in shared],
    }
    found = owners({"metadata": metadata}, CATALOGUE)
    assert [(ref.kind, ref.name) for ref in found] == [("ModelBuild", "one"), ("ModelBuild", "two")]
