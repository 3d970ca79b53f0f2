"""Why a picture is not made."""

from dataclasses import dataclass
from typing import Literal

Code = Literal["invalid_input", "out_of_memory", "unsafe", "internal"]


@dataclass(frozen=True, slots=True)
class Fault(Exception):
    """A job that fails: its code, one sentence, and whether another try could do better."""

    code: Code
    message: str
    retriable: bool = False


def invalid(message: str) -> Fault:
    """Return the fault of a job that nobody can do as it is asked."""
    return Fault("invalid_input", message)
