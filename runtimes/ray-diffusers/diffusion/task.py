"""One job at work, as the thread that paints and the request that listens share it."""

import asyncio
import time
from pathlib import Path
from typing import Any

from diffusion import event, picture
from diffusion.event import Event
from diffusion.fault import Fault
from diffusion.job import FORMATS, Job
from diffusion.options import Options
from diffusion.studio import Shown


class Task:
    """A job, what it tells, and whether anybody listens still."""

    def __init__(self, job: Job, options: Options) -> None:
        """Begin in the event loop of who listens."""
        self.job = job
        self.gone = False
        """Nobody listens any more: what is left to do is not to be done."""
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._began: float | None = None
        self._blocked = 0
        self._percent = -1

    async def next(self) -> Event:
        """Return what is told next, once it is."""
        return await self._events.get()

    def begin(self) -> None:
        """Tell that work on it begins."""
        self._began = time.monotonic()
        self.progress(0.0)

    def progress(self, part: float) -> None:
        """Tell how far it is; never all, for nothing of it can be kept before pictures are."""
        percent = min(99, int(100 * part))
        if percent > self._percent:
            self._percent = percent
            self._tell(event.progress("denoise", percent))

    def take(self, index: int, shown: Shown) -> None:
        """Write a picture of the job and tell of it; one that must not be shown is counted."""
        if shown.flagged and self._options.safety == "Block":
            self._blocked += 1
            return
        path = Path(self.job.output) / f"{index}.{self.job.format}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.write(shown.image, path, self.job.format, self._provenance(index))
        more = {
            "seed": self.job.seeds[index],
            "width": shown.image.width,
            "height": shown.image.height,
            "flagged": shown.flagged,
        }
        self._tell(event.output(index, str(path), FORMATS[self.job.format], **more))

    def finish(self) -> None:
        """Tell that it is done, unless it has failed."""
        if self.gone:
            return
        if self._blocked == len(self.job.seeds):
            told = "the safety checker found that the picture is not for everyone"
            self.fail(Fault("unsafe", f"{told}: ask for something else"))
            return
        seconds = time.monotonic() - (self._began or time.monotonic())
        blocked = {"blocked": self._blocked} if self._blocked else {}
        self._tell(event.done(seconds, **blocked))

    def fail(self, fault: Fault) -> None:
        """Tell why it fails; nothing is done for it after that."""
        if not self.gone:
            self.gone = True
            self._tell(event.error(fault))

    def _tell(self, said: Event) -> None:
        self._loop.call_soon_threadsafe(self._events.put_nowait, said)

    def _provenance(self, index: int) -> dict[str, Any]:
        """Return what makes the same picture again."""
        shape, options = self.job.shape, self._options
        return {
            "aiGenerated": True,
            "model": options.served_model_name,
            "revision": options.revision,
            "prompt": self.job.prompt,
            "negativePrompt": self.job.negative_prompt,
            "operation": shape.operation,
            "seed": self.job.seeds[index],
            "steps": shape.steps,
            "guidance": shape.guidance,
            "scheduler": shape.scheduler,
            "loras": [{"name": lora.name, "weight": lora.weight} for lora in shape.loras],
            "width": shape.width,
            "height": shape.height,
        }
