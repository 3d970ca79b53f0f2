"""Begins anew after an error that nobody foresaw, so that the container stays up.

While one of a pod's containers is down, Kubernetes takes the pod from its Service, though Envoy
serves: a control process that ended for an hour would take every gateway pod away.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 30.0
CALM_SECONDS: Final = 60.0
"""Who has worked for so long has recovered: the next pause is a short one."""

log = logging.getLogger(__name__)


async def lives(
    life: Callable[[], Awaitable[None]],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Do something until it ends without an error, with longer and longer pauses in between."""
    pause = FIRST_SECONDS
    while True:
        began = now()
        try:
            return await life()
        except Exception:
            if now() - began >= CALM_SECONDS:
                pause = FIRST_SECONDS
            log.exception("begins anew in %.0f s, Envoy goes on with what it has", pause)
        await sleep(pause)
        pause = min(2 * pause, LONGEST_SECONDS)
