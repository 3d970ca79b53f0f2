"""Why a recipe is not built."""

from typing import Literal

Reason = Literal[
    "RecipeInvalid",
    "MethodUnknown",
    "SchemeUnknown",
    "MetricUnknown",
    "GroupSizeMismatch",
    "ArchitectureUnsupported",
    "AlreadyQuantized",
    "CalibrationInvalid",
    "AcceleratorNeeded",
]


class Refused(Exception):
    """Why a recipe is not built. ``reason`` is stable; ``action`` says what to do next."""

    def __init__(self, reason: Reason, message: str, action: str) -> None:
        """Keep the cause and the next action, each one sentence without a full stop."""
        self.reason: Reason = reason
        self.message = message
        self.action = action
        super().__init__(f"{message}: {action}")
