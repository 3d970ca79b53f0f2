"""Steps of a long run: each says what it does, that it is alive, and how long it took."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

BEAT_SECONDS = 15


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print what is being done, a heartbeat while it lasts, and how long it took."""
    started = time.monotonic()
    done = threading.Event()
    _say(f"==> {what}")
    beat = threading.Thread(target=_beat, args=(what, started, done), daemon=True)
    beat.start()
    try:
        yield
    except BaseException:
        _say(f"    {what}: failed after {time.monotonic() - started:.0f} s")
        raise
    finally:
        done.set()
    _say(f"    done in {time.monotonic() - started:.1f} s")


def _beat(what: str, started: float, done: threading.Event) -> None:
    while not done.wait(BEAT_SECONDS):
        _say(f"    ... {what}: {time.monotonic() - started:.0f} s")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
