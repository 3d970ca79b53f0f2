"""What stories of the gateway share."""

from collections.abc import Iterator

import pytest

from e2e.platform import GATEWAY, SYSTEM_NAMESPACE
from e2e.space import Space


@pytest.fixture(scope="module")
def url(space: Space) -> Iterator[str]:
    """Where the gateway answers."""
    with space.kube.forward(f"service/{GATEWAY}", 80, SYSTEM_NAMESPACE) as found:
        yield found
