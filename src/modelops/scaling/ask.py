"""One cause for replicas."""

import math
from dataclasses import dataclass
from typing import Final

HALF: Final = 1e-9
"""Less than this above a whole number is an error of arithmetic."""


@dataclass(frozen=True, slots=True)
class Ask:
    """So many replicas, for ``value`` of ``metric`` was read and a replica may have ``target``."""

    replicas: int
    metric: str
    value: float
    target: float
    sentence: str

    @staticmethod
    def of(metric: str, value: float, target: float, sentence: str, times: int = 1) -> "Ask":
        """Return the ask for as many replicas, times what there is, as bear the value."""
        return Ask(math.ceil(times * value / target - HALF), metric, value, target, sentence)
