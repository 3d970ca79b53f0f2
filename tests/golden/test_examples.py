"""What the cluster gets for each example that users read."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

import golden_file
from modelops.api.builds import BUILDS
from modelops.api.kinds import KINDS
from modelops.api.policies import POLICIES
from modelops.api.policies.modelroute import KIND as MODEL_ROUTE
from modelops.sync.builds.desired import sync_build
from modelops.sync.builds.observed import ObservedBuild
from modelops.sync.catalogue import Catalogue, Jobs, Platform
from modelops.sync.desired import Apply, Create, Desired, sync
from modelops.sync.observed import Observed
from modelops.sync.policy import policy_status
from modelops.sync.scene import Scene, of_model, of_route

GOLDEN = Path(__file__).parent
EXAMPLES = sorted((GOLDEN.parents[1] / "manifests" / "examples").glob("*.yaml"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOBS = Jobs(
    redis_url="redis://redis.jobs.svc:6379/0",
    redis_secret="jobs-redis",  # noqa: S106  a name
    s3_endpoint="https://s3.example.com",
    s3_bucket="pictures",
    s3_secret="jobs-s3",  # noqa: S106  a name
)
CATALOGUE = Catalogue(
    platform=Platform(
        images={
            name: f"registry.example.com/{name}@sha256:{digit * 64}"
            for name, digit in (
                ("modelops", "a"),
                ("vllm", "b"),
                ("vllm-cpu", "c"),
                ("llm-compressor", "d"),
                ("diffusers-builder", "e"),
                ("ray-diffusers", "e"),
                ("ray-diffusers-cpu", "f"),
            )
        },
        jobs=JOBS,
    )
)


def passed(document: dict) -> Desired:
    """Return what an operator concludes of a document that was just applied."""
    born = {"namespace": "default", "uid": "11111111-2222-3333-4444-555555555555", "generation": 1}
    resource = document | {"metadata": document["metadata"] | born}
    if document["kind"] in BUILDS:
        build = ObservedBuild(BUILDS[document["kind"]], resource, peers=(resource,))
        return sync_build(build, CATALOGUE.platform, NOW)
    return sync(Observed(KINDS[document["kind"]], resource), CATALOGUE, NOW)


class Plain(yaml.SafeDumper):
    """YAML without anchors: each object stands by itself."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  the base class asks for it
        """Repeat what occurs twice."""
        return True


def text(value: object) -> str:
    """Return a value as YAML in its own order."""
    return yaml.dump(value, Dumper=Plain, sort_keys=False, width=100)


def written(desired: Desired) -> str:
    """Return what a pass writes, as YAML that people read in a review."""
    applies = (w for w in desired.writes if isinstance(w, Apply))
    creates = (w for w in desired.writes if isinstance(w, Create))
    texts = (
        *(f"# applied by {a.manager}\n{text(a.manifest)}" for a in applies),
        *(f"# made if it is not there\n{text(m.manifest)}" for m in creates),
    )
    return "---\n".join((*texts, f"# reported\n{text({'status': desired.status})}"))


def told(documents: list[dict]) -> Iterator[str]:
    """Yield what the policies of a file are told when its models serve."""
    born = [d | {"metadata": {"namespace": "default", **d["metadata"]}} for d in documents]
    models = [of_model(d | {"status": {"readyReplicas": 1}}) for d in born if d["kind"] in KINDS]
    routes = [of_route(d) for d in born if d["kind"] == MODEL_ROUTE.name]
    scene = Scene.of(models, routes, "modelops-system")
    for policy in (d for d in born if d["kind"] in POLICIES):
        yield f"# reported\n{text({'status': policy_status(policy, scene, NOW)})}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_becomes_exactly_what_was_reviewed(
    example: Path, request: pytest.FixtureRequest
) -> None:
    """An example on an empty cluster is rendered as its golden file says, byte for byte."""
    documents = list(yaml.safe_load_all(example.read_text(encoding="utf-8")))
    own = {*KINDS, *BUILDS}
    models = [written(passed(d)) for d in documents if d["kind"] in own]
    now = "---\n".join((*models, *told(documents)))
    golden_file.check(GOLDEN / example.name, now, request)


def test_every_golden_file_has_its_example() -> None:
    """No golden file outlives its example."""
    assert {p.name for p in GOLDEN.glob("*.yaml")} == {p.name for p in EXAMPLES}
