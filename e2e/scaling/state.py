"""How many replicas a model is to have, and who scales it."""

from e2e.space import Space


def replicas(space: Space, name: str) -> int | None:
    """Return how many replicas the model's Deployment is to have."""
    found = space.kube.get("deployment", name, space.name)
    return found["spec"].get("replicas") if found else None


def until_replicas(space: Space, name: str, count: int, seconds: float) -> None:
    """Wait until the model is to have so many replicas."""
    space.until(
        lambda: replicas(space, name) == count,
        seconds,
        lambda: (
            f"{name} has {replicas(space, name)} replicas, not {count}: "
            f"{space.condition(name, 'ScalingActive')}"
        ),
    )


def until_scaled_by(space: Space, name: str, reason: str, seconds: float) -> None:
    """Wait until the model says who scales it, or why nobody does."""
    space.until(
        lambda: space.condition(name, "ScalingActive").get("reason") == reason,
        seconds,
        lambda: f"{name} is not scaled by {reason}: {space.condition(name, 'ScalingActive')}",
    )
