"""Asks the API server for the first replica of a model, until it is asked for."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modelops.api.base import API_VERSION
from modelops.cluster import Cluster, ClusterError, Invalid, Unreachable
from modelops.gateway.snapshot import Model
from modelops.sync.observed import Ref

MANAGER: Final = "modelops-activator"
FIRST_SECONDS: Final = 0.25
LONGEST_SECONDS: Final = 5.0
"""Between two tries while the API server does not answer."""

AGAIN_SECONDS: Final = 1.0
"""How long an ask may take to show in the copy of the model before it is asked again."""

log = logging.getLogger(__name__)

Counted = Callable[[str], None]
"""Is told what became of each ask: accepted, needless or failed."""


@dataclass(frozen=True, slots=True)
class Waker:
    """Wakes models through their scale, from zero only: whatever else is asked for stays."""

    cluster: Cluster
    counted: Counted

    async def keep_asking(self, look: Callable[[], Model | None]) -> None:
        """Have a model be asked to have a replica, until cancelled; `look` tells how it is now.

        Whoever asks for zero meanwhile does not know who waits: then one is asked for again.
        """
        pause = FIRST_SECONDS
        while True:
            model = look()
            if model is None or not _sleeps(model):
                await asyncio.sleep(AGAIN_SECONDS)
            elif await self._ask(model):
                pause = FIRST_SECONDS
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                await asyncio.sleep(pause)
                pause = min(LONGEST_SECONDS, 2 * pause)

    async def _ask(self, model: Model) -> bool:
        """Ask once; return whether the API server did what it was asked, or need not."""
        ref = Ref(API_VERSION, model.kind, model.namespace, model.name)
        try:
            await self.cluster.scale(ref, model.scale.asked, 1, MANAGER)
        except Invalid as error:
            log.info("%s is asked for by somebody else: %s", model.cluster, error)
            self.counted("needless")
            return True
        except Unreachable as error:
            log.warning("%s cannot be woken yet, trying again: %s", model.cluster, error)
        except ClusterError as error:
            log.error("%s may not be woken, trying again: %s", model.cluster, error)  # noqa: TRY400  the cause is the API server's
        else:
            log.info("woke %s", model.cluster)
            self.counted("accepted")
            return True
        self.counted("failed")
        return False


def _sleeps(model: Model) -> bool:
    """Tell whether a model has no replica and nobody has asked for one."""
    return model.state == "idle" and not model.scale.paused
