"""Why weights cannot be had."""

from typing import Final, Literal

Reason = Literal[
    "WeightsNotFound",
    "WeightsForbidden",
    "WeightsUnsafe",
    "WeightsCorrupt",
    "WeightsIncomplete",
    "WeightsAmbiguous",
    "CacheFull",
    "CacheUnusable",
    "SourceUnreachable",
]

_MOST: Final = 480
"""Longest sentence in characters: the kubelet cuts a container's last message at 4096 bytes."""


class Failure(Exception):
    """Why weights cannot be had. ``reason`` is stable; ``action`` says what to do next."""

    def __init__(self, reason: Reason, message: str, action: str) -> None:
        """Keep the cause and the next action, each one sentence."""
        self.reason: Reason = reason
        self.message = _short(message)
        self.action = _short(action)
        super().__init__(f"{self.message}: {self.action}")


def _short(sentence: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in sentence)
    return plain if len(plain) <= _MOST else f"{plain[:_MOST]} ..."
