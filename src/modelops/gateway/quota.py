"""Which limits are counted exactly, and how much of the others a gateway pod passes unasked."""

from typing import Final

EXACT: Final = 600
"""Up to so many a minute, each request is asked about."""

SHARES: Final = 20
"""Of larger limits each pod passes one part in so many by itself."""


def exact(limit: int | None) -> bool:
    """Tell whether each request under this limit has to be asked about."""
    return limit is not None and limit <= EXACT


def share(limit: int) -> int:
    """Return how many requests a minute a pod passes without asking; 0 for an exact limit."""
    return 0 if exact(limit) else limit // SHARES
