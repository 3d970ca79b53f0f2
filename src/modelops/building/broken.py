"""Why an artifact was not made."""

from typing import Literal

Reason = Literal[
    "SourceMissing",
    "SourceUnreadable",
    "WeightsUnsafe",
    "CalibrationInvalid",
    "OutOfMemory",
    "DiskFull",
    "StoreUnusable",
    "AcceleratorNeeded",
    "ArchitectureUnsupported",
    "ToolFailed",
]


class Broken(Exception):
    """Why an artifact was not made. ``reason`` is stable; ``hint`` says what to do next.

    ``final`` tells that the same recipe ends the same way, so that trying again is of no use.
    """

    def __init__(self, reason: Reason, message: str, hint: str, *, final: bool = False) -> None:
        """Keep the cause and the next action, each one sentence without a full stop."""
        self.reason: Reason = reason
        self.message = message
        self.hint = hint
        self.final = final
        super().__init__(f"{message}: {hint}")
