"""Runs in a pod: asks a model for streamed answers until told to stop, and counts failures.

Standard library only. Arguments: base URL, model name, number of callers.
Prints one JSON object: {"asked": n, "failed": [reasons]}.
"""

import json
import sys
import threading
import urllib.request
from pathlib import Path

STOP = Path("/tmp/stop")


def ask(url: str, model: str) -> str | None:
    """Return why an answer was not complete, or None when it was."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Count to ten."}],
        "max_tokens": 32,
        "stream": True,
    }
    request = urllib.request.Request(  # noqa: S310  http to a Service
        f"{url}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310
            ended = response.read().rstrip().endswith(b"data: [DONE]")
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return None if ended else "the stream ended early"


def caller(url: str, model: str, answers: list[str | None]) -> None:
    """Ask until told to stop."""
    while not STOP.exists():
        answers.append(ask(url, model))


def main() -> None:
    """Run the callers and print what came of it."""
    url, model, count = sys.argv[1:4]
    answers: list[str | None] = []
    callers = [
        threading.Thread(target=caller, args=(url, model, answers)) for _ in range(int(count))
    ]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    failed = [answer for answer in answers if answer]
    sys.stdout.write(json.dumps({"asked": len(answers), "failed": failed}) + "\n")


if __name__ == "__main__":
    main()
