"""The end of the process, once somebody asks for it."""

import os
import signal
import threading
from dataclasses import dataclass, field
from types import FrameType


@dataclass(slots=True)
class End:
    """Asked for by a signal."""

    asked: threading.Event = field(default_factory=threading.Event)
    serving: bool = False
    """Whether there can be jobs to finish."""

    def listen(self) -> None:
        """Hear the signals that ask for it; Ray takes them for itself when it starts."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask)

    def ask(self, number: int, _: FrameType | None) -> None:
        """End; at once where nothing is served as yet, or when asked again."""
        if self.asked.is_set() or not self.serving:
            os._exit(128 + number)
        self.asked.set()
