"""`python -m e2e.bench.gateway.control`: the real control process, for an Envoy on loopback."""

import asyncio
import sys
from dataclasses import replace

from modelops.cluster import RECURSION_LIMIT
from modelops.gateway.main import stay
from modelops.gateway.settings import Settings
from modelops.gateway.snapshot import Front


class Loopback(Settings):
    """The settings of the environment; Envoy listens on loopback only."""

    @property
    def front(self) -> Front:
        """How Envoy is set up."""
        return replace(super().front, address="127.0.0.1")


if __name__ == "__main__":
    sys.setrecursionlimit(RECURSION_LIMIT)
    asyncio.run(stay(Loopback()))
