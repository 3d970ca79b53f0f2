"""What the weights container says while it works: one JSON object a line."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

_PERIOD_SECONDS: Final = 1.0


class Meter:
    """Counts bytes as several threads bring them."""

    def __init__(self, total: int) -> None:
        """Start at nothing of ``total`` bytes."""
        self.total = total
        self._lock = threading.Lock()
        self._done = 0
        self._file = ""

    def add(self, count: int, file: str) -> None:
        """Count bytes of a file; less than 0 takes back what was lost."""
        with self._lock:
            self._done += count
            self._file = file

    def read(self) -> dict[str, Any]:
        """Return the progress event."""
        with self._lock:
            return {
                "event": "progress",
                "doneBytes": self._done,
                "totalBytes": self.total,
                "file": self._file,
            }


class Events:
    """A stream of events for people and for the operator."""

    def __init__(self, stream: IO[str], last_words: Path | None = None) -> None:
        """Write to ``stream``; ``last_words`` is the file that the kubelet reads at the end."""
        self._stream = stream
        self._last_words = last_words

    def say(self, event: Mapping[str, Any]) -> None:
        """Write one event."""
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()

    def end(self, event: Mapping[str, Any]) -> None:
        """Write the last event, also to where the kubelet looks if that exists."""
        self.say(event)
        if self._last_words and self._last_words.exists():
            words = json.dumps(event, ensure_ascii=False)
            self._last_words.write_bytes(words.encode(errors="replace"))

    @contextmanager
    def repeating(self, read: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
        """Say what ``read`` returns every second while the body runs."""
        ended = threading.Event()

        def repeat() -> None:
            while not ended.wait(_PERIOD_SECONDS):
                self.say(read())

        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
