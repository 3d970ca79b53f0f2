"""The laws of passes over ModelBuilds on a cluster: killed anywhere, there is one Job."""

import asyncio
import json
from itertools import count
from typing import Any

import pytest

from controller.conftest import Clock
from controller.fake import FakeApiServer
from modelops.api.base import API_VERSION
from modelops.api.builds.modelbuild import KIND
from modelops.cluster import Answer, Cluster, ClusterError, plurals
from modelops.controller.builds import PHASES
from modelops.controller.loop import Loop
from modelops.controller.metrics import Metrics
from modelops.sync.catalogue import Catalogue, Platform
from modelops.sync.observed import Ref

IMAGES = {name: f"{name}:1" for name in ("modelops", "llm-compressor")}
TIMES = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:30Z"}
CATALOGUE = Catalogue(platform=Platform(images=IMAGES))


class Builds:
    """A fake cluster with ModelBuilds, and the loop that looks after them."""

    def __init__(self) -> None:
        self.server = FakeApiServer()
        self.clock = Clock()
        self.metrics = Metrics.create()

    def build(self, name: str, **spec: Any) -> None:
        """Have a ModelBuild in the cluster."""
        meta = {
            "name": name,
            "namespace": "team",
            "creationTimestamp": f"2026-01-01T00:00:00.{name}",
        }
        given = {"source": {"uri": "pvc://models/tiny"}, "method": "GPTQ", **spec}
        manifest = {"apiVersion": API_VERSION, "kind": KIND.name, "metadata": meta, "spec": given}
        self.server.put(manifest, KIND.plural)

    def run(self, name: str) -> ClusterError | None:
        """Do a pass by a fresh loop, as a restarted operator does; return how it failed."""
        cluster = Cluster(self.server, plurals(CATALOGUE.looked_at))
        loop = Loop(cluster, CATALOGUE, self.metrics, now=self.clock)
        try:
            asyncio.run(loop.run(Ref(API_VERSION, KIND.name, "team", name)))
        except ClusterError as error:
            return error
        return None

    def reason(self, name: str) -> str:
        """Return why a ModelBuild is Ready or not."""
        found = self.server.find(KIND.plural, f"team/{name}") or {}
        return str(found["status"]["conditions"][0]["reason"])

    def phases(self) -> dict[str, float]:
        """Return how many builds the metrics count in each phase that has any."""
        read = self.metrics.registry.get_sample_value
        labels = ({"build_namespace": "team", "phase": each} for each in PHASES)
        counts = ((each["phase"], read("modelops_builds", each)) for each in labels)
        return {name: count for name, count in counts if count}

    def read(self, name: str, **labels: str) -> float | None:
        """Return the value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels)

    def all(self, plural: str) -> list[dict[str, Any]]:
        """Return the objects of a plural."""
        return [s.manifest for (_, p, _), s in self.server.objects.items() if p == plural]

    def end(self) -> None:
        """Have the only Job's pod end well."""
        (job,) = self.all("jobs")
        meta, template = job["metadata"], job["spec"]["template"]
        words = {"event": "done", "bytesBefore": 8, "bytesAfter": 2, "quality": {"kl": 0.01}}
        ended = {"exitCode": 0, "message": json.dumps(words), **TIMES}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": "x",
                "namespace": "team",
                "ownerReferences": [{"kind": "Job", "uid": meta["uid"]}],
            },
            "status": {"containerStatuses": [{"name": "build", "state": {"terminated": ended}}]},
        }
        self.server.put(pod, "pods")
        self.server.edit("jobs", f"team/{meta['name']}", _completed)


def _completed(job: dict[str, Any]) -> None:
    job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}


@pytest.fixture
def builds() -> Builds:
    """Return a fake cluster without objects."""
    return Builds()


def test_a_build_runs_its_course(builds: Builds) -> None:
    """Claim and Job are made, then the result is told; nothing is written once it is."""
    builds.build("one")
    assert builds.run("one") is None
    assert [len(builds.all(p)) for p in ("persistentvolumeclaims", "jobs")] == [1, 1]
    builds.end()
    builds.run("one")
    assert builds.reason("one") == "Built"
    before = len(builds.server.history)
    builds.run("one")
    assert len(builds.server.history) == before


def test_killed_after_any_write_there_is_one_job(builds: Builds) -> None:
    """However many writes a pass comes to, the next one goes on, and the Job is the same."""
    for name in ("one", "two"):
        builds.build(name)
    for allowed in range(8):
        builds.server.writes_left = allowed
        builds.run("one" if allowed % 2 else "two")
    builds.server.writes_left = None
    for name in ("one", "two", "one"):
        builds.run(name)
    (job,) = builds.all("jobs")
    assert [o["name"] for o in job["metadata"]["ownerReferences"]] == ["one", "two"]
    assert len(builds.all("persistentvolumeclaims")) == 1
    builds.end()
    for name in ("one", "two"):
        builds.run(name)
        assert builds.reason(name) == "Built"


def test_who_loses_the_race_for_the_job_joins(builds: Builds) -> None:
    """A Job that another pass made meanwhile is no failure: the next look joins it."""
    builds.build("one")
    builds.run("one")
    builds.build("two")
    hidden = count()

    def unseen(request: str, _: Any) -> Answer | None:
        first = request.startswith("GET") and "/jobs" in request and next(hidden) == 0
        return Answer(200, b'{"metadata": {}, "items": []}') if first else None

    builds.server.refusal = unseen
    assert builds.run("two") is None
    assert builds.run("two") is None
    (job,) = builds.all("jobs")
    assert [o["name"] for o in job["metadata"]["ownerReferences"]] == ["one", "two"]


def test_a_job_that_changed_meanwhile_is_looked_at_again(builds: Builds) -> None:
    """Owners are never written over what was not seen: the pass fails, and is done again."""
    builds.build("one")
    builds.run("one")
    builds.build("two")

    def changed(request: str, _: Any) -> Answer | None:
        modified = Answer(409, b'{"message": "the object has been modified"}')
        return modified if request.startswith("PUT") else None

    builds.server.refusal = changed
    error = builds.run("two")
    assert "changed meanwhile" in str(error)
    builds.server.refusal = lambda *_: None
    assert builds.run("two") is None


def test_a_quota_that_forbids_the_job_is_told(builds: Builds) -> None:
    """What the API server says to a Job reaches Ready, and the pass is tried again."""
    builds.build("one")

    def forbidden(request: str, _: Any) -> Answer | None:
        full = request.startswith("POST") and request.endswith("/jobs")
        return Answer(403, b'{"message": "exceeded quota"}') if full else None

    builds.server.refusal = forbidden
    assert builds.run("one") is not None
    assert builds.reason("one") == "ApplyFailed"


def test_deleting_one_leaves_the_job_to_the_others(builds: Builds) -> None:
    """An object that is gone writes nothing; who is left knows the artifact."""
    for name in ("one", "two"):
        builds.build(name)
        builds.run(name)
    address = next(a for a in builds.server.objects if a[2] == "team/one")
    del builds.server.objects[address]
    builds.run("one")
    builds.end()
    builds.run("two")
    assert builds.reason("two") == "Built"


def test_metrics_count_builds_by_phase_and_jobs_once(builds: Builds) -> None:
    """Each object counts in one phase until it is gone; the seconds of a shared Job count once."""
    for name in ("one", "two"):
        builds.build(name)
        builds.run(name)
    builds.build("wrong", method="Magic")
    builds.run("wrong")
    assert builds.phases() == {"Waiting": 2, "Refused": 1}
    builds.end()
    for name in ("two", "one", "two", "one"):
        builds.run(name)
    assert builds.phases() == {"Built": 2, "Refused": 1}
    assert builds.read("modelops_build_seconds_count", method="GPTQ") == 1
    assert builds.read("modelops_build_seconds_sum", method="GPTQ") == 90
    (address,) = (a for a in builds.server.objects if a[1:] == (KIND.plural, "team/wrong"))
    del builds.server.objects[address]
    builds.run("wrong")
    assert builds.phases() == {"Built": 2}


def test_a_gate_that_fails_is_counted_as_such(builds: Builds) -> None:
    """What was made and is not good enough stands apart from what could not be made."""
    builds.build("one", gate={"maxDrop": "0.001"})
    builds.run("one")
    builds.end()
    builds.run("one")
    assert builds.phases() == {"GateFailed": 1}
    assert builds.read("modelops_build_seconds_count", method="GPTQ") == 1
