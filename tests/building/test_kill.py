"""Killed anywhere, twice at once: there is a whole artifact, or none."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from building import crash
from building.conftest import RECIPE, Place


def calls(place: Place) -> int:
    """Return how often a tool has made something that is not sealed yet."""
    found = list(place.store.glob("*.partial/calls"))
    return len(found[0].read_text().splitlines()) if found else 0


def test_every_single_step_may_be_the_last(place: Place) -> None:
    """Whatever step a kill comes before: no half artifact, and the next run puts all right."""
    (place.root / "recipe.json").write_text(json.dumps(RECIPE))
    output = subprocess.run(
        [sys.executable, crash.__file__, place.root], capture_output=True, text=True, check=True
    )
    told = [json.loads(line) for line in output.stdout.splitlines()]
    assert len(told) > 20
    assert {each["after_cut"] for each in told} == {"absent", "whole"}
    assert {each["after_next"] for each in told} == {"whole"}
    assert not [each for each in told if each["rest"]]


@pytest.mark.parametrize("stage", ["make", "measure"])
def test_a_killed_build_goes_on_where_it_was(stage: str, place: Place) -> None:
    """The tool's finished stage is not done again; an unfinished one is."""
    go = place.root / "go"
    first = place.start(TOY=f"waits:{stage}", TOY_GO=str(go))
    assert first.stdout
    assert next(line for line in first.stdout if f'"{stage}"' in line)
    first.kill()
    first.wait()
    made = calls(place)
    go.touch()  # the orphaned tool ends, and with it its hold on the lock
    done = place.build()
    stages = [event["stage"] for event in done["events"][:-1]]
    assert done["reason"] == "Built"
    assert ("make" in stages) == (stage == "make")
    assert made == (stage == "measure")


def test_what_a_killed_tool_had_kept_is_there_again(place: Place) -> None:
    """Half a stage is not lost: the next run finds what the tool kept, and nothing else of it."""
    go = place.root / "go"
    first = place.start(TOY="waits:layer", TOY_GO=str(go))
    assert first.stdout
    assert next(line for line in first.stdout if '"percent": 50' in line)
    (kept,) = _eventually(lambda: list(place.store.glob("*.partial/kept/layer")))
    first.kill()
    first.wait()
    go.touch()
    done = place.build()
    assert 60 in [event.get("percent") for event in done["events"]]
    assert done["reason"] == "Built"
    assert not kept.parent.exists()


def _eventually(look: Callable[[], list[Path]]) -> list[Path]:
    while not (found := look()):
        time.sleep(0.01)
    return found


def test_sigterm_ends_the_tool_too(place: Place) -> None:
    """A pod that is deleted leaves nothing running, and exits as one that was told to."""
    process = place.start(TOY="waits:make", TOY_GO=str(place.root / "never"))
    assert process.stdout
    assert next(line for line in process.stdout if '"make"' in line)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert children
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)


def test_two_at_once_build_once(place: Place) -> None:
    """The second says that it waits, and then finds what the first has made."""
    go = place.root / "go"
    first = place.start(TOY="waits:make", TOY_GO=str(go))
    assert first.stdout
    assert next(line for line in first.stdout if '"make"' in line)
    second = place.start(TOY="dies")
    assert second.stdout
    assert json.loads(next(second.stdout))["stage"] == "wait"
    go.touch()
    assert json.loads(first.communicate()[0].splitlines()[-1])["reason"] == "Built"
    assert json.loads(second.communicate()[0].splitlines()[-1])["reason"] == "AlreadyBuilt"
    assert len(place.artifacts) == 1


def test_an_orphaned_tool_is_waited_for(place: Place) -> None:
    """A tool that outlives its parent never writes into the next one's work."""
    go = place.root / "go"
    first = place.start(TOY="waits:make", TOY_GO=str(go))
    assert first.stdout
    assert next(line for line in first.stdout if '"make"' in line)
    first.kill()
    second = place.start()
    assert second.stdout
    assert json.loads(next(second.stdout))["stage"] == "wait"
    go.touch()
    assert json.loads(second.communicate()[0].splitlines()[-1])["reason"] == "Built"
