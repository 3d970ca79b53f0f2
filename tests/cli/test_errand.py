"""The laws of Jobs that the CLI has run on a claim, on a fake API server."""

import asyncio
import webbrowser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from controller.fake import FakeApiServer
from modelops.api.base import API_VERSION
from modelops.api.builds.modelbuild import KIND
from modelops.api.group import EVERY_KIND
from modelops.building.show import packed
from modelops.cli import build, errand
from modelops.cli.app import app
from modelops.cluster import Cluster, ClusterError, plurals
from modelops.sync.observed import Ref
from podsecurity import violations

CLAIM = Ref("v1", "PersistentVolumeClaim", "team", "store")
PAGE = b"<!doctype html><p>report</p>"


class Site:
    """A fake cluster whose Jobs end as soon as they are looked at."""

    def __init__(self, log: str, *, good: bool = True) -> None:
        self.server = FakeApiServer()
        self.log, self.good = log, good
        self.jobs: list[dict[str, Any]] = []
        self.cluster = Cluster(self.server, plurals(EVERY_KIND))
        self.put(
            "deployments",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "modelops-operator", "namespace": "modelops-system"},
                "spec": {"template": {"spec": {"containers": [{"image": "modelops:1"}]}}},
            },
        )
        self.server.refusal = self._act

    def put(self, plural: str, manifest: dict[str, Any]) -> None:
        """Have an object in the cluster."""
        self.server.put(manifest, plural)

    def built(self, artifact: str) -> None:
        """Have a ModelBuild that has made its artifact."""
        meta = {"name": "one", "namespace": "team"}
        status = {"artifact": artifact, "quality": {"kl": "0.01"}}
        told = {"apiVersion": API_VERSION, "kind": KIND.name, "metadata": meta, "status": status}
        self.put(KIND.plural, told)

    def _act(self, *_: object) -> None:
        """Be the controller and the kubelet: a Job that was made has ended by the next request."""
        made = self.server.objects
        for _, plural, place in [each for each in made if each[1] == "jobs"]:
            job = self.server.find(plural, place) or {}
            if "status" not in job:
                self.jobs.append(job)
                self._end(place, job)

    def _end(self, place: str, job: dict[str, Any]) -> None:
        kind = "Complete" if self.good else "Failed"
        status = {"conditions": [{"type": kind, "status": "True"}], "succeeded": int(self.good)}
        name = job["metadata"]["name"]
        labels = {"batch.kubernetes.io/job-name": name}
        meta = {"name": f"{name}-x", "namespace": "team", "labels": labels}
        self.put("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": meta})
        self.server.logs[f"team/{name}-x"] = self.log
        self.server.edit("jobs", place, lambda one: one.update(status=status))

    def run(self) -> str:
        """Run an errand to its end."""
        job = errand.errand("look", CLAIM, "modelops:1", ["true"], write=False)
        return asyncio.run(errand.run(self.cluster, job))


def test_the_log_is_the_answer_and_nothing_stays() -> None:
    """What the pod printed comes back, and its Job is gone."""
    site = Site("the answer")
    assert site.run() == "the answer"
    assert site.server.find("jobs", f"team/{site.jobs[0]['metadata']['name']}") is None


def test_a_failure_says_what_the_pod_said() -> None:
    """The cause is told, and the Job is gone all the same."""
    site = Site("there is no such folder", good=False)
    with pytest.raises(ClusterError, match="no such folder"):
        site.run()
    assert site.server.find("jobs", f"team/{site.jobs[0]['metadata']['name']}") is None


def test_who_reads_is_restricted_and_cannot_write() -> None:
    """The pod passes Pod Security `restricted`, and its claim is read-only to it."""
    job = errand.errand("look", CLAIM, "modelops:1", ["true"], write=False)
    assert violations(job["spec"]["template"]) == []
    (mount,) = job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert mount["readOnly"]
    assert job["spec"]["activeDeadlineSeconds"] <= 600


def report(site: Site, monkeypatch: pytest.MonkeyPatch, *options: str) -> Any:
    """Run `modelops build report` on the site."""
    monkeypatch.setattr(build, "on_cluster", lambda act: asyncio.run(act(site.cluster)))
    return CliRunner().invoke(app, ["build", "report", "one", "-n", "team", *options])


def test_a_report_is_read_from_the_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--save` keeps the page byte for byte, from the folder that the status names."""
    site = Site(packed(PAGE))
    site.built(f"pvc://store/artifacts/{'a' * 64}")
    file = tmp_path / "report.html"
    result = report(site, monkeypatch, f"--save={file}")
    assert result.exit_code == 0, result.output
    assert file.read_bytes() == PAGE
    container = site.jobs[0]["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][-1] == f"/store/artifacts/{'a' * 64}"


def test_a_report_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--open` shows a file that is still there when the command has ended."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda uri: opened.append(uri) or True)
    site = Site(packed(PAGE))
    site.built(f"pvc://store/artifacts/{'a' * 64}")
    assert report(site, monkeypatch, "--open").exit_code == 0
    assert Path(opened[0].removeprefix("file://")).read_bytes() == PAGE


def test_half_a_report_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that holds no whole page ends the command with the cause, and writes no file."""
    site = Site(packed(PAGE)[:50])
    site.built(f"pvc://store/artifacts/{'a' * 64}")
    result = report(site, monkeypatch, f"--save={tmp_path / 'x'}")
    assert result.exit_code == 1
    assert "no report came back" in result.output
    assert not (tmp_path / "x").exists()


def test_what_lies_elsewhere_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact that is on no claim is not looked for there."""
    site = Site("")
    site.built("s3://bucket/artifacts/x")
    result = report(site, monkeypatch, "--open")
    assert result.exit_code == 2
    assert site.jobs == []
