"""Commands, steps a person can follow, and waiting for a condition."""

import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HEARTBEAT_SECONDS = 15.0


class ClusterError(Exception):
    """Something a person must know; the message says what to do next."""


def say(text: str) -> None:
    """Write one line for the person who watches, on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print the title, a heartbeat while the body runs long, and how long it took."""
    say(f"{title} ...")
    started, done = time.monotonic(), threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"  still {title} ({time.monotonic() - started:.0f} s)")

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    except BaseException:
        say(f"  failed after {time.monotonic() - started:.1f} s")
        raise
    else:
        say(f"  done in {time.monotonic() - started:.1f} s")
    finally:
        done.set()
        heart.join()


def run(
    *argv: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a command and return its standard output; ClusterError carries its last words."""
    words = [str(word) for word in argv]
    try:
        result = subprocess.run(
            words, cwd=cwd, env=env, input=stdin, text=True, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise ClusterError(
            f"{words[0]} is not installed; run `python3 -m e2e.cluster up`"
        ) from error
    if result.returncode:
        raise ClusterError(_failure(words, result))
    return result.stdout


def _failure(words: Sequence[str], result: subprocess.CompletedProcess[str]) -> str:
    tail = "\n".join((result.stderr or result.stdout).strip().splitlines()[-15:])
    return f"`{shlex.join(words)}` exited with {result.returncode}:\n{tail}"


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Return as soon as the condition holds; ClusterError says what never came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not so after {seconds:.0f} s")
        time.sleep(0.1)
