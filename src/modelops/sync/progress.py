"""How far the weights are, from what the container that fetches them says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes fetched of bytes to fetch."""

    done: int
    total: int

    @classmethod
    def read(cls, event: Mapping[str, Any] | None) -> "Progress | None":
        """Return the progress that an event of the weights container tells, if it does."""
        done, total = (event or {}).get("doneBytes", 0), (event or {}).get("totalBytes")
        if not isinstance(done, int) or not isinstance(total, int) or not 0 <= done <= total > 0:
            return None
        return cls(done, total)

    @property
    def percent(self) -> int:
        """Whole percent."""
        return self.done * 100 // self.total

    @property
    def sentence(self) -> str:
        """Percent and bytes for people."""
        return f"{self.percent}% ({size(self.done)} of {size(self.total)})"


def size(count: int) -> str:
    """Return a number of bytes for people, such as 1.5 GiB."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < _STEP:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} {_UNITS[-1]}"
