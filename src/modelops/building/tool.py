"""The builder's own tool, as a process of its own: what it says, and what its death means.

The tool is given one file, an order as JSON: ``{"recipe", "source", "making", "made", "kept",
"scratch", "calibration", "stages"}``, the stages of ``make`` and ``measure`` to do. It
writes one JSON object a line to standard output: ``{"stage", "percent"}`` as it goes, ``{"did":
STAGE, ...}`` once a stage is done, or ``{"failed": REASON, "message", "hint"}``; all else that it
prints is for people.
"""

import json
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import IO, Any, Final, get_args

from modelops.building.broken import Broken, Reason

Event = Mapping[str, Any]

_KEPT: Final = 40
_SIGNS: Final[Sequence[tuple[str, Reason, str, str]]] = (
    (
        r"No space left on device|Disk quota exceeded|errno 28",
        "DiskFull",
        "the disk ran full",
        "give the store's claim more room, or remove artifacts of no use",
    ),
    (
        r"CUDA out of memory|torch\.OutOfMemoryError",
        "OutOfMemory",
        "the accelerator's memory did not suffice",
        "lower calibration.samples or sequenceLength, or choose a larger GPU",
    ),
    (
        r"DefaultCPUAllocator: can't allocate memory|MemoryError|Cannot allocate memory",
        "OutOfMemory",
        "the container's memory did not suffice",
        "raise resources.memory of the build",
    ),
    (
        r"does not recognize this architecture|Unrecognized model|Unrecognized configuration",
        "ArchitectureUnsupported",
        "the tool does not know this architecture",
        "choose a newer builder image or another model",
    ),
    (
        r"SafetensorError|Error while deserializing header|size mismatch for",
        "SourceUnreadable",
        "the weight files cannot be read as this model",
        "check that the files belong together and are complete",
    ),
    (
        r"Found no NVIDIA driver|No CUDA GPUs are available|No GPU found",
        "AcceleratorNeeded",
        "the tool needs a GPU and there is none",
        "give the build an accelerator",
    ),
)
"""What a line of the tool's last words means: pattern, reason, message, hint."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A command that is given the path of an order; ``held`` files stay open as long as it runs."""

    command: tuple[str, ...]
    words: IO[str] = sys.stderr

    def run(self, order: Path, hear: Callable[[Event], None], held: Sequence[int] = ()) -> None:
        """Run it to its end, and hear each of its events. Raises Broken.

        A signal that ends this process ends the tool first.
        """
        process = subprocess.Popen(  # noqa: S603  the image's own tool
            [*self.command, str(order)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=tuple(held),
        )
        last: deque[str] = deque(maxlen=_KEPT)
        with _ended_with_us(process), process:
            reader = Thread(target=self._relay, args=(process.stderr, last), daemon=True)
            reader.start()
            failed = self._hear(process.stdout, hear)
            process.wait()
            reader.join()
        if failed is not None:
            raise _told(failed)
        if process.returncode:
            raise _died(process.returncode, list(last))

    def _hear(self, stream: IO[str] | None, hear: Callable[[Event], None]) -> Event | None:
        failed = None
        for line in stream or ():
            event = _event(line)
            if event is None:
                self._tell(line)
            elif "failed" in event:
                failed = event
            else:
                hear(event)
        return failed

    def _relay(self, stream: IO[str] | None, last: deque[str]) -> None:
        for line in stream or ():
            last.append(line.rstrip())
            self._tell(line)

    def _tell(self, line: str) -> None:
        self.words.write(line)
        self.words.flush()


def _event(line: str) -> Event | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and event.keys() & {"stage", "did", "failed"} else None


@contextmanager
def _ended_with_us(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Kill the tool when this process is told to end, or leaves by an exception."""

    def end(number: int, _: FrameType | None) -> None:
        process.kill()
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except BaseException:
        process.kill()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told(event: Event) -> Broken:
    known: dict[object, Reason] = {reason: reason for reason in get_args(Reason)}
    reason = known.get(event["failed"], "ToolFailed")
    return Broken(
        reason,
        str(event.get("message", "the tool failed")),
        str(event.get("hint", "look at the container's log")),
        final=reason in {"CalibrationInvalid", "ArchitectureUnsupported"},
    )


def _died(code: int, last: Sequence[str]) -> Broken:
    text = "\n".join(last)
    for pattern, reason, message, hint in _SIGNS:
        if found := re.search(pattern, text):
            line = next(each for each in last if found[0].splitlines()[0] in each)
            return Broken(reason, f"{message} ({line.strip()[:200]})", hint)
    if code == -signal.SIGKILL:
        return Broken(
            "OutOfMemory",
            "the tool was killed, most likely because the container's memory did not suffice",
            "raise resources.memory of the build",
        )
    end = f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
    words = next((line.strip() for line in reversed(last) if line.strip()), "it said nothing")
    return Broken("ToolFailed", f"the tool {end}: {words[:400]}", "look at the container's log")
