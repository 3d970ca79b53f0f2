"""What was used within the last minute, second by second (pure: time is told).

`window.lua` does the same in Redis. A second's amount counts until it is wholly a minute old: no
minute, wherever it begins, holds more than what was let pass.
"""

from dataclasses import dataclass, field
from typing import Final

SLOT_MS: Final = 1_000
WINDOW_MS: Final = 60_000
SLOTS: Final = WINDOW_MS // SLOT_MS
LONGEST_MS: Final = WINDOW_MS + SLOT_MS
"""So long an amount counts at most."""


@dataclass(slots=True)
class Window:
    """Amounts by the number of their second; `now` is in milliseconds."""

    slots: dict[int, int] = field(default_factory=dict)

    def count(self, amount: int, now: int) -> None:
        """Add what is used now."""
        number = now // SLOT_MS
        self.slots[number] = self.slots.get(number, 0) + amount

    def turn(self, now: int) -> None:
        """Forget what counts no more."""
        current = now // SLOT_MS
        self.slots = {s: n for s, n in self.slots.items() if current - SLOTS <= s <= current}

    @property
    def used(self) -> int:
        """All that counts."""
        return sum(self.slots.values())

    def frees(self, most: int, now: int) -> int:
        """Return in how many milliseconds less than the most will be used; 0 where less is."""
        used, last = self.used, None
        for number in sorted(self.slots):
            if used < most:
                break
            used, last = used - self.slots[number], number
        return 0 if last is None else _ends(last) - now

    def resets(self, now: int) -> int:
        """Return in how many milliseconds nothing will be used; 0 where nothing is."""
        return _ends(max(self.slots)) - now if self.slots else 0


def _ends(number: int) -> int:
    return (number + SLOTS + 1) * SLOT_MS
