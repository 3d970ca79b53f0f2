"""What the operator makes of an error of the watcher's."""

import asyncio

import pytest

from modelops.controller import operator


class Failed(Exception):
    """An answer of the API server, as kopf raises it."""

    def __init__(self, status: int) -> None:
        """Take the status."""
        super().__init__(f"status {status}")
        self.status = status


async def ends(error: Exception | None) -> None:
    """Watch, and end like that."""
    if error:
        raise error


def test_a_kind_that_has_gone_begins_all_anew() -> None:
    """A CRD that is removed under a watch is no reason to end."""
    assert asyncio.run(operator.lost_a_kind(ends(Failed(404))))


def test_the_end_is_the_end() -> None:
    """A watcher that was told to stop is not begun again."""
    assert not asyncio.run(operator.lost_a_kind(ends(None)))


@pytest.mark.parametrize("error", [Failed(403), ValueError("no status")], ids=["403", "other"])
def test_another_error_ends_the_operator(error: Exception) -> None:
    """What nobody understands is not tried again for ever: the pod is restarted."""
    with pytest.raises(type(error)):
        asyncio.run(operator.lost_a_kind(ends(error)))
