"""The answer to an object that cannot be served as it stands."""

from dataclasses import dataclass

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


def invalid(kind: Kind, error: ValidationError) -> Refusal:
    """Return the answer to an object whose spec is not of its kind's type."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in ("spec", *first["loc"]))
    return Refusal(
        "InvalidSpec",
        f"{where}: {first['msg']}",
        f"correct it; `kubectl explain {kind.singular}.spec` tells what it takes",
    )
