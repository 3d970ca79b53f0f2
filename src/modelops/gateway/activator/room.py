"""Where requests of one model wait together: how the model is, and since when it starts."""

import asyncio
import time
from dataclasses import dataclass, field

from modelops.gateway.snapshot import Model


@dataclass(slots=True)
class Room:
    """``model`` is None while it is not known; ``usual`` is what a start took last, in seconds."""

    model: Model | None
    usual: float | None = None
    waking: "asyncio.Task[None] | None" = None
    guests: int = 0
    opened: float = field(default_factory=time.monotonic)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, model: Model | None) -> float | None:
        """Take how the model is now; return how long it took to start if it just has."""
        if model == self.model:
            return None
        started = bool(model and model.endpoints and not (self.model and self.model.endpoints))
        self.model = model
        self.news.set()
        self.news = asyncio.Event()
        return time.monotonic() - self.opened if started else None

    async def change(self, seconds: float) -> None:
        """Wait until the model changes, for so long at most."""
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            return

    @property
    def eta(self) -> float | None:
        """The seconds until it should answer; None where nothing is known, or more has passed."""
        if self.usual is None:
            return None
        left = self.usual - (time.monotonic() - self.opened)
        return left if left > 0 else None
