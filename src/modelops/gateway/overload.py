"""What Envoy does before its memory is used up, so that nobody's uploads take it from others."""

from typing import Final

from modelops.gateway.snapshot import Front
from modelops.gateway.typed import Json, extension

MOST_CONNECTIONS: Final = 50_000
HEAP: Final = "envoy.resource_monitors.fixed_heap"
HEAP_SHARE: Final = 0.75
"""Of the container's memory; the rest is what is no heap, and what arrives between two looks."""

_MONITORS: Final = "envoy.extensions.resource_monitors"


def overload(front: Front) -> Json:
    """Return how much there may be at once, and what ends first when there is more.

    The largest requests do: those whose bodies have been read and that no engine has taken yet.
    """
    if not front.memory:
        return {"resource_monitors": [_connections()]}
    return {
        "refresh_interval": "0.05s",
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 20},
        "resource_monitors": [_connections(), _heap(front.memory)],
        "actions": [
            _action("shrink_heap", {"threshold": {"value": 0.85}}),
            _action(
                "reset_high_memory_stream",
                {"scaled": {"scaling_threshold": 0.85, "saturation_threshold": 0.95}},
            ),
            _action("stop_accepting_requests", {"threshold": {"value": 0.92}}),
        ],
    }


def _connections() -> Json:
    return extension(
        "envoy.resource_monitors.global_downstream_max_connections",
        f"{_MONITORS}.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=MOST_CONNECTIONS,
    )


def _heap(memory: int) -> Json:
    kind = f"{_MONITORS}.fixed_heap.v3.FixedHeapConfig"
    return extension(HEAP, kind, max_heap_size_bytes=int(memory * HEAP_SHARE))


def _action(name: str, when: Json) -> Json:
    return {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": HEAP, **when}]}
