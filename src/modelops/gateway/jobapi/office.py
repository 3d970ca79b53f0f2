"""All of the job API in one process: the server, its news, webhooks, figures, and the sweeping."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

from modelops.gateway.jobapi.desk import Desk
from modelops.gateway.jobapi.figures import Figures
from modelops.gateway.jobapi.hooks import Hooks
from modelops.gateway.jobapi.news import News
from modelops.gateway.jobapi.service import JobApi
from modelops.gateway.settings import Settings
from modelops.gateway.snapshot import Snapshot
from modelops.jobs.outside import Outside
from modelops.jobs.store import Store
from modelops.jobs.streams import GONE, Streams

ANSWER_SECONDS: Final = 5.0
SWEEP_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Office:
    """``desk`` is None where jobs have no queue or no store: then they are refused."""

    settings: Settings
    figures: Figures
    desk: Desk | None

    @classmethod
    def of(cls, settings: Settings, figures: Figures) -> "Office":
        """Return one as the settings say; nothing is asked yet."""
        address = settings.jobs_redis
        if address is None or not settings.jobs_s3_bucket:
            return cls(settings, figures, None)
        redis: Any = address.client(ANSWER_SECONDS, retries=3)
        queue = Streams(redis, settings.jobs_terms)
        signs = bool(settings.jobs_webhook_key)
        store = Store(settings.jobs_bucket)
        desk = Desk(queue, store, News(redis), settings.jobs_url_seconds, signs=signs)
        return cls(settings, figures, desk)

    def follow(self, snapshot: Snapshot) -> None:
        """Take what there is to serve now."""
        if self.desk:
            self.desk.follow(snapshot)

    async def run(self) -> None:
        """Answer until cancelled."""
        settings, master = self.settings, self.settings.jobs_webhook_key.encode()
        api = JobApi(self.desk, settings.jobs_answer_seconds, master)
        async with (
            Outside.opened(settings.jobs_allowed_networks, seconds=15) as outside,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(api.run(settings.jobs_port))
            if self.desk:
                group.create_task(self.desk.news.run())
                group.create_task(self._sweep(self.desk.queue))
                if master:
                    group.create_task(Hooks(self.desk, outside, master).run())

    async def _sweep(self, queue: Streams) -> None:
        """Have no job wait for a worker that went away, and count what there is."""
        while True:
            try:
                await queue.sweep()
                self.figures.tell({m: await queue.stats(m) for m in await queue.models()})
            except GONE as error:
                log.debug("jobs are not counted now: %s", error)
                self.figures.away()
            await asyncio.sleep(SWEEP_SECONDS)
