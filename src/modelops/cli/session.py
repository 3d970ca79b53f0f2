"""Doing one thing with the cluster that KUBECONFIG names."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kubernetes.aio.config import ConfigException

from modelops.api.group import EVERY_KIND
from modelops.cluster import ApiServer, Cluster, ClusterError, plurals

Result = TypeVar("Result")


def on_cluster(act: Callable[[Cluster], Awaitable[Result]]) -> Result:
    """Do something with the cluster; a failure ends the command with its cause."""
    try:
        return asyncio.run(_connected(act))
    except ConfigException as error:
        sys.exit(f"no cluster to talk to ({error}): set KUBECONFIG")
    except ClusterError as error:
        sys.exit(f"the cluster refuses: {error}")


async def _connected(act: Callable[[Cluster], Awaitable[Result]]) -> Result:
    server = await ApiServer.connect()
    try:
        return await act(Cluster(server, plurals(EVERY_KIND)))
    finally:
        await server.close()
