"""Grants of models: names that clients send, or beginnings of names that end with a star."""

from collections.abc import Iterable


def granted(name: str, grants: Iterable[str]) -> bool:
    """Tell whether any of the grants covers a model's name."""
    return any(
        name.startswith(grant[:-1]) if grant.endswith("*") else name == grant for grant in grants
    )
