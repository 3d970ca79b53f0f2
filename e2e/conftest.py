"""What the stories share: the platform, and a namespace of their own with the tiny model."""

from collections.abc import Iterator

import pytest

from e2e.demo.show import prepare
from e2e.platform import Platform, platform
from e2e.space import Space


@pytest.fixture(scope="session")
def stage() -> Platform:
    """The platform, started if it is not."""
    return platform()


@pytest.fixture(scope="module")
def space(stage: Platform, request: pytest.FixtureRequest) -> Iterator[Space]:
    """A namespace for one story, deleted at its end."""
    story = request.path.stem.removeprefix("test_").replace("_", "-")
    name = f"e2e-{story}"
    stage.kube.run("delete", "namespace", name, "--ignore-not-found", "--wait")
    prepare(stage, name)
    yield Space(stage, name)
    stage.kube.run("delete", "namespace", name, "--wait=false")
