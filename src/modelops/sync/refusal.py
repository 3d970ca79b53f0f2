"""The answer to an object that cannot be served as it stands."""

import re
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from modelops.api.conditions import one_line
from modelops.api.kind import Kind


@dataclass(eq=False)
class Refusal(Exception):
    """Why an object cannot be served as it stands, and what its author can do.

    ``recheck_seconds`` is None when only a change of what is watched can alter that; ``passing``
    refusals end by themselves.
    """

    reason: str
    message: str
    action: str
    recheck_seconds: float | None = None
    passing: bool = False

    @property
    def sentence(self) -> str:
        """The cause and the next action in one sentence."""
        return one_line(f"{self.message}: {self.action}")


_TOLD: Final = {
    "extra_forbidden": "there is no such field",
    "string_pattern_mismatch": "{input!r:.60} is not of the form that it takes",
    "string_type": "{input!r:.60} is no text, write it in quotes",
    "missing": "it is missing",
}
"""What pydantic says in words of its own, in ours."""

_FIELD: Final = re.compile("[a-z][A-Za-z0-9]*")


def invalid(kind: Kind, error: ValidationError) -> Refusal:
    """Return the answer to an object whose spec is not of its kind's type."""
    first = error.errors()[0]
    path = ("spec", *map(str, first["loc"]))
    told = _TOLD.get(first["type"], "{msg}").format(input=first["input"], msg=first["msg"])
    known = path[:-1] if first["type"] == "extra_forbidden" else path
    explained = ".".join((kind.singular, *filter(_FIELD.fullmatch, known)))
    return Refusal(
        "InvalidSpec",
        f"{'.'.join(path)}: {told}",
        f"correct it; `kubectl explain {explained}` tells what it takes",
    )
