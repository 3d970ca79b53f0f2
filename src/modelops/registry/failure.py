"""Why weights cannot be had."""

from typing import Final, Literal

Reason = Literal[
    "WeightsNotFound",
    "WeightsForbidden",
    "WeightsUnsafe",
    "WeightsCorrupt",
    "WeightsIncomplete",
    "CacheFull",
    "CacheUnusable",
    "SourceUnreachable",
]

_MOST: Final = 1000
"""Longest sentence: the kubelet cuts a container's last message at 4096 bytes."""


class Failure(Exception):
    """Why weights cannot be had. ``reason`` is stable; ``action`` says what to do next."""

    def __init__(self, reason: Reason, message: str, action: str) -> None:
        """Keep the cause and the next action, each one sentence."""
        super().__init__(f"{message}: {action}")
        self.reason: Reason = reason
        self.message = _short(message)
        self.action = _short(action)


def _short(sentence: str) -> str:
    return sentence if len(sentence) <= _MOST else f"{sentence[:_MOST]} ..."
