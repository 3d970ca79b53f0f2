"""What a job tells while it is worked on: one JSON object a line (pure)."""

import json
from collections.abc import Mapping
from typing import Any, Final

from diffusion.fault import Fault

Event = Mapping[str, Any]
_LAST: Final = frozenset({"done", "error"})


def progress(stage: str, percent: int) -> Event:
    """Tell how far a stage is."""
    return {"event": "progress", "stage": stage, "percent": percent}


def output(index: int, path: str, content_type: str, **more: object) -> Event:
    """Tell of a picture that is written."""
    return {"event": "output", "index": index, "path": path, "contentType": content_type, **more}


def done(seconds: float, **more: object) -> Event:
    """Tell that all pictures are written; ``seconds`` were worked on them."""
    return {"event": "done", "seconds": round(seconds, 3), **more}


def error(fault: Fault) -> Event:
    """Tell why there are no more pictures."""
    said = {"code": fault.code, "message": fault.message, "retriable": fault.retriable}
    return {"event": "error", **said}


def last(event: Event) -> bool:
    """Tell whether nothing comes after an event."""
    return event["event"] in _LAST


def line(event: Event) -> bytes:
    """Return an event as a line of the answer."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
