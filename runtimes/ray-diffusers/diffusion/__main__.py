"""`python3 -m diffusion`: serves one pipeline until it is told to end."""

import os
import secrets
import sys
from typing import Final

from diffusion.end import End
from diffusion.options import parse

ENVIRONMENT: Final = {
    "RAY_AUTH_MODE": "token",
    "RAY_DEDUP_LOGS": "0",
    # The name is of other systems: it makes Ray keep to the loopback address.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    # Else Ray kills whom it likes when memory is short, its own controller too.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_prestart_worker_first_driver": "0",
}
"""What Ray reads when it is imported, and its processes inherit."""


def main() -> int:
    """Return the exit code of the engine."""
    end = End()
    end.listen()
    options = parse(sys.argv[1:])
    os.environ.update(ENVIRONMENT)
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    from diffusion.node import run  # noqa: PLC0415  after the environment is set

    return run(options, end)


if __name__ == "__main__":
    sys.exit(main())
