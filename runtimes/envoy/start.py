"""Starts Envoy as soon as its configuration is there: `start.py BOOTSTRAP [ARGUMENT...]`."""

import os
import sys
import time
from pathlib import Path

LOOK_SECONDS = 0.2


def main() -> None:
    """Wait for the bootstrap file, then become Envoy."""
    bootstrap, *arguments = sys.argv[1:]
    # Another container writes it, last of all files: there is no event to wait for.
    while not Path(bootstrap).exists():
        time.sleep(LOOK_SECONDS)
    os.execvp("envoy", ["envoy", "--config-path", bootstrap, *arguments])  # noqa: S606  becomes Envoy


if __name__ == "__main__":
    main()
