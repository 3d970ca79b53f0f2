"""From what was observed of a ModelBuild to a plan, or to the reason why there is none."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from modelops.api.building import Making
from modelops.builders.recipe import job_name
from modelops.sync.builds.asked import Asked, asked
from modelops.sync.builds.observed import STORE, ObservedBuild
from modelops.sync.catalogue import Platform
from modelops.sync.observed import Manifest
from modelops.sync.plan import DEFAULT_ACCELERATOR, Accelerators
from modelops.sync.refusal import Refusal


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """All that is decided before anything is rendered.

    ``sharing`` are the objects with the same recipe, the oldest first: it says how the Job is run.
    """

    asked: Asked
    oldest: Asked
    sharing: tuple[Manifest, ...]
    fetch_image: str
    accelerator: Accelerators | None
    platform: Platform

    @property
    def job(self) -> str:
        """The Job's name: the artifact's address, and the claim where it is not the usual one."""
        if self.store == STORE:
            return job_name(self.asked.address)
        return job_name(hashlib.sha256(self.artifact.encode()).hexdigest())

    @property
    def store(self) -> str:
        """The claim that the artifact is kept on."""
        return store(self.oldest.spec)

    @property
    def artifact(self) -> str:
        """Where the artifact is, as a model's URI."""
        return f"pvc://{self.store}/artifacts/{self.asked.address}"


def plan_build(observed: ObservedBuild, platform: Platform) -> BuildPlan:
    """Return the plan for a ModelBuild. Raises Refusal when it cannot be built as it stands."""
    mine = asked(observed.kind, observed.resource, platform)
    alike = sorted(_alike(observed, mine, platform), key=lambda pair: _age(pair[0]))
    oldest = alike[0][1] if alike else mine
    return BuildPlan(
        asked=mine,
        oldest=oldest,
        sharing=tuple(resource for resource, _ in alike),
        fetch_image=_fetch_image(platform),
        accelerator=_accelerator(oldest, platform),
        platform=platform,
    )


def store(spec: Making) -> str:
    """Return the claim that an artifact is kept on."""
    return spec.output.claim.claim_name if spec.output.claim else STORE


def _alike(
    observed: ObservedBuild, mine: Asked, platform: Platform
) -> Iterator[tuple[Manifest, Asked]]:
    """Yield the objects that ask for the same artifact on the same claim, this one too."""
    yield observed.resource, mine
    for peer in observed.peers:
        if peer["metadata"]["uid"] == observed.uid or "deletionTimestamp" in peer["metadata"]:
            continue
        with suppress(Refusal):  # what cannot be built shares nothing
            theirs = asked(observed.kind, peer, platform)
            if theirs.address == mine.address and store(theirs.spec) == store(mine.spec):
                yield peer, theirs


def _age(resource: Manifest) -> tuple[str, str]:
    meta = resource["metadata"]
    return str(meta.get("creationTimestamp", "")), str(meta["name"])


def _fetch_image(platform: Platform) -> str:
    if "modelops" not in platform.images:
        raise Refusal(
            "ImageUnknown",
            "the platform has no image named modelops",
            "ask your cluster's operator to set the chart's value images.modelops",
        )
    return platform.images["modelops"]


def _accelerator(ordered: Asked, platform: Platform) -> Accelerators | None:
    """Return the accelerators of the build: none unless asked for or needed."""
    chosen, product = ordered.spec.resources.accelerator, ordered.spec.target.product
    if chosen is None and ordered.builder.device == "cpu" and not product:
        return None
    count = 1 if chosen is None else chosen.count
    if not count:
        return None
    named = chosen.resource_name if chosen else None
    resource_name = named or platform.accelerator or DEFAULT_ACCELERATOR
    return Accelerators(resource_name, count, product or (chosen.product if chosen else None))
