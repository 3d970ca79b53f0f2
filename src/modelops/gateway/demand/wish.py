"""How a model's owner wants it to scale, from its object (pure)."""

from collections.abc import Mapping
from typing import Any

from modelops.api.scaling import Scaling
from modelops.scaling.policy import Policy


def policy(scaling: Mapping[str, Any], capacity: int | None) -> Policy | None:
    """Return the policy of a `spec.scaling`; None where nothing is to be decided.

    That is so for a model with as many replicas at least as at most, for one that is paused, and
    for a wish that nobody can follow, of which the operator tells in the model's status.
    """
    try:
        wanted = Scaling.model_validate(scaling)
        if not wanted.automatic or wanted.state == "Paused":
            return None
        return Policy.of(wanted, capacity)
    except ValueError:
        return None
