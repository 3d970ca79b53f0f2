"""Why a model does not serve, as one sentence with a next action."""

from dataclasses import dataclass
from typing import Final

from modelops.api.conditions import one_line

_TAIL: Final = 300
"""How much of another's words a sentence can carry."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a replica does not serve. ``reason`` is stable; ``action`` says what to do next.

    ``passing`` causes may end by themselves: a node is added, a source answers again.
    """

    reason: str
    message: str
    action: str
    passing: bool = False

    @property
    def sentence(self) -> str:
        """The cause and the next action in one sentence."""
        return one_line(f"{self.message}: {self.action}")


def short(text: object) -> str:
    """Return another's words as one line that a sentence can carry."""
    words = one_line(str(text or "")) or "no message"
    return words if len(words) <= _TAIL else f"{words[:_TAIL]} ..."
