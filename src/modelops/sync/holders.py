"""Which object a name belongs to that clients send: of several, the oldest."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Bearer(Protocol):
    """An object that clients can name; ``created`` is in seconds since the epoch."""

    @property
    def served_name(self) -> str:
        """The name that clients send."""
        ...

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        ...

    @property
    def name(self) -> str:
        """The object's own name."""
        ...

    @property
    def created(self) -> int:
        """When it was made."""
        ...


One = TypeVar("One", bound=Bearer)


def holders(bearers: Iterable[One]) -> dict[str, One]:
    """Return the object that each name belongs to, so that no newcomer takes over its callers.

    Between two of the same age and address the one that comes first has it.
    """
    newest_first = sorted(bearers, key=lambda o: (o.created, o.namespace, o.name))[::-1]
    return {one.served_name: one for one in newest_first}
