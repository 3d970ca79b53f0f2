"""What the container says while it works, and its last words."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

LONGEST_WORDS: Final = 4096
"""Bytes that the kubelet keeps of a container's last message."""

_LONGEST_SENTENCE: Final = 700


class Progress:
    """One JSON object a line, each time that something changed.

    ``stages`` share the work by weight; the time that is left is what the share done took.
    """

    def __init__(
        self,
        stream: IO[str],
        stages: Mapping[str, int],
        last_words: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin now; ``last_words`` is the file that the kubelet reads at the end."""
        self._stream = stream
        self._stages = dict(stages)
        self._last_words = last_words
        self._clock = clock
        self._begin = clock()
        self._before = 0.0
        self._said: tuple[str, int] | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return round(self._clock() - self._begin, 3)

    def at(self, stage: str, percent: int = 0) -> None:
        """Say how much of a stage is done; what was said already is not said again."""
        if self._said == (stage, percent):
            return
        self._said = (stage, percent)
        done = self._done(stage, percent)
        event = {"event": "progress", "stage": stage, "percent": percent, "done": int(done * 100)}
        spent = self._clock() - self._begin
        worked = done - self._before
        left = {"etaSeconds": round(spent / worked * (1 - done))} if worked > 0.02 else {}
        self._say(event | left)

    def skip_to(self, stage: str) -> None:
        """Tell that all before a stage was done by an earlier run."""
        self._before = self._done(stage, 0)

    def end(self, event: Mapping[str, Any]) -> None:
        """Say the last event, also to where the kubelet looks if that exists."""
        words = _short(event)
        self._say(words)
        if self._last_words and self._last_words.exists():
            self._last_words.write_bytes(json.dumps(words, ensure_ascii=False).encode("utf-8"))

    def _done(self, stage: str, percent: int) -> float:
        names = list(self._stages)
        total = sum(self._stages.values())
        before = sum(self._stages[name] for name in names[: names.index(stage)])
        return (before + self._stages[stage] * percent / 100) / total

    def _say(self, event: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()


def _short(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event that fits where the kubelet keeps it."""
    return {key: _plain(v) if isinstance(v, str) else v for key, v in event.items()}


def _plain(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    plain = plain.encode("utf-8", errors="replace").decode("utf-8")
    return plain if len(plain) <= _LONGEST_SENTENCE else f"{plain[:_LONGEST_SENTENCE]} ..."
