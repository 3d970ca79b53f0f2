"""Tells callers by webhook that their jobs have ended: at least once, and for a day."""

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientError

from modelops.gateway.jobapi.desk import Desk
from modelops.gateway.jobapi.signature import headers, secret
from modelops.jobs.job import Job
from modelops.jobs.outside import Forbidden, Outside
from modelops.jobs.streams import GONE

LEASE_SECONDS: Final = 60.0
AT_A_TIME: Final = 16
LOOK_SECONDS: Final = 1.0
PAUSES: Final = (2.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0)
"""What is waited before each further try; after the last the caller is not told."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hooks:
    """``master`` is what the tenants' secrets are made of."""

    desk: Desk
    outside: Outside
    master: bytes
    look_seconds: float = LOOK_SECONDS

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            told = 0
            try:
                told = await self._tell_all()
            except GONE as error:
                log.debug("no webhooks now: %s", error)
            if not told:
                await asyncio.sleep(self.look_seconds)

    async def _tell_all(self) -> int:
        due = await self.desk.queue.due(LEASE_SECONDS, AT_A_TIME)
        await asyncio.gather(*map(self._tell, due))
        return len(due)

    async def _tell(self, id_: str) -> None:
        job = await self.desk.queue.get(id_)
        if job is None or not job.order.webhook:
            await self.desk.queue.told(id_, None)
            return
        tries = await self.desk.queue.tellings(id_)
        done, why = await self._post(job, job.order.webhook)
        if done:
            await self.desk.queue.told(id_, None)
        elif tries < len(PAUSES):
            await self.desk.queue.told(id_, PAUSES[tries])
        else:
            log.warning("the webhook of %s was never taken: %s", id_, why)
            await self.desk.queue.told(id_, None)

    async def _post(self, job: Job, url: str) -> tuple[bool, str]:
        """Return whether nothing more is to be done, and why it is."""
        now = int(time.time())
        said = {
            "type": f"job.{job.state}",
            "timestamp": int(job.ended),
            "data": await self.desk.described(job),
        }
        body = json.dumps(said).encode()
        signed = headers(secret(self.master, job.order.tenant), job.order.id, now, body)
        try:
            status = await self.outside.post(url, body, signed)
        except Forbidden as error:
            return True, str(error)
        except (ClientError, TimeoutError, OSError) as error:
            return False, type(error).__name__
        return 200 <= status < 300 or status == 410, f"status {status}"
