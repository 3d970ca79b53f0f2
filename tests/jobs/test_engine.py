"""What worker and engine say to each other."""

import json

import pytest

from modelops.jobs import engine


def test_each_event_is_read_as_it_is_said() -> None:
    """Every kind of event is understood, with what an engine may leave out."""
    said = {"event": "output", "index": 0, "path": "/scratch/a/0.png", "contentType": "image/png"}
    assert engine.event(json.dumps(said)) == engine.Output(0, "/scratch/a/0.png", "image/png")
    line = b'{"event": "progress", "stage": "denoise", "percent": 140}'
    assert engine.event(line) == engine.Progress("denoise", 100)
    assert engine.event(b'{"event": "done", "seconds": 1.5}') == engine.Done(1.5)
    line = b'{"event": "error", "code": "unsafe", "message": "no", "retriable": false}'
    assert engine.event(line) == engine.Failed("unsafe", "no", retriable=False)


@pytest.mark.parametrize("line", [b"", b"[]", b"1", b'{"event": "sing"}', b'{"event": "done"}'])
def test_what_is_no_event_is_told(line: bytes) -> None:
    """Whatever else a line holds, it is refused by one error."""
    with pytest.raises(engine.NotUnderstood):
        engine.event(line)


def test_limits_may_be_unsaid() -> None:
    """An engine that tells nothing of itself has no limits."""
    assert engine.limits({}) == engine.Limits()
    assert engine.limits({"maxWidth": 1024}).max_width == 1024
