"""Laws of the command as a process: killed, twice at once, told to stop."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.hub.server import Hub
from fetch import crash
from fetch.conftest import Place
from fetch.model import read, safetensors, write

Serve = Callable[..., Hub]
COMMAND = (sys.executable, "-c", "from modelops.fetch.main import main; main()")
SHARD = "model-00001-of-00002.safetensors"


class Gate:
    """Holds a file back after its first chunk until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the bytes on."""
        if path == SHARD:
            yield next(chunks)
            self.reached.set()
            assert self.opened.wait(30)
        yield from chunks


@pytest.fixture
def start(place: Place) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command; the link and the last words can be chosen."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str, link: Path = place.model) -> subprocess.Popen[str]:
        options = (f"--cache={place.cache}", f"--link={link}", *arguments)
        process = subprocess.Popen(
            [*COMMAND, *options], stdout=subprocess.PIPE, text=True, env={"HOME": str(place.root)}
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def events(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Return all events of a process that ends."""
    output, _ = process.communicate(timeout=30)
    return [json.loads(line) for line in output.splitlines()]


def test_last_words(serve: Serve, place: Place, start: Callable[..., Any]) -> None:
    """The last event is also what the kubelet reads: done with 0, the cause with 1."""
    words = place.root / "termination-log"
    words.touch()
    more = (f"--endpoint={serve().url}", f"--last-words={words}")
    process = start("--uri=hf://acme/tiny", *more)
    assert events(process)[-1] == json.loads(words.read_text())
    assert process.returncode == 0
    assert json.loads(words.read_text())["event"] == "done"
    process = start("--uri=hf://acme/absent", *more)
    assert events(process)[-1] == json.loads(words.read_text())
    assert process.returncode == 1
    told = json.loads(words.read_text())
    assert told.keys() == {"reason", "message", "action"}
    assert told["reason"] == "WeightsNotFound"


def test_killed_and_resumed(
    serve: Serve, place: Place, start: Callable[..., Any], content: dict[str, bytes]
) -> None:
    """After kill -9 in a file, the next run fetches only the bytes that are missing."""
    gate = Gate()
    hub = serve(gate)
    process = start("--uri=hf://acme/tiny", f"--endpoint={hub.url}")
    assert gate.reached.wait(30)
    assert json.loads(process.stdout.readline())["doneBytes"]
    process.kill()
    process.wait()
    [partial] = place.cache.rglob("*1-of*")
    kept = partial.stat().st_size
    gate.opened.set()
    hub.body = lambda _, chunks: chunks
    done = events(start("--uri=hf://acme/tiny", f"--endpoint={hub.url}"))[-1]
    assert done["source"] == "download"
    assert read(place.model) == content
    [resumed] = [each for each in hub.served if each.first]
    assert (resumed.first, resumed.sent) == (kept, len(content[SHARD]) - kept)


def test_twice_at_once_fetches_once(
    serve: Serve, place: Place, start: Callable[..., Any], content: dict[str, bytes]
) -> None:
    """Of two pods that share a cache one fetches; the other waits, tells so, and shares."""
    gate = Gate()
    hub = serve(gate)
    arguments = ("--uri=hf://acme/tiny", f"--endpoint={hub.url}")
    first = start(*arguments)
    assert gate.reached.wait(30)
    second = start(*arguments, link=place.root / "second")
    line = json.loads(second.stdout.readline())
    assert line["waitingFor"]
    assert 0 < line["doneBytes"] < line["totalBytes"]
    gate.opened.set()
    told = [events(first)[-1]["source"], events(second)[-1]["source"]]
    assert told == ["download", "cache"]
    assert read(place.root / "second") == content
    assert hub.sent("") == sum(map(len, content.values()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_when_told(
    serve: Serve, place: Place, start: Callable[..., Any], number: signal.Signals
) -> None:
    """SIGTERM ends the process at once and leaves what was fetched."""
    gate = Gate()
    process = start("--uri=hf://acme/tiny", f"--endpoint={serve(gate).url}")
    assert gate.reached.wait(30)
    os.kill(process.pid, number)
    assert process.wait(timeout=2) == 143
    gate.opened.set()
    assert list(place.cache.rglob("*.partial"))


def test_progress_is_told(serve: Serve, start: Callable[..., Any]) -> None:
    """While bytes come, an event a second tells how many there are."""
    gate = Gate()
    process = start("--uri=hf://acme/tiny", f"--endpoint={serve(gate).url}")
    line = json.loads(process.stdout.readline())
    gate.opened.set()
    assert line["event"] == "progress"
    assert 0 < line["doneBytes"] < line["totalBytes"]
    assert events(process)[-1]["event"] == "done"


def test_wrong_uri(start: Callable[..., Any], place: Place) -> None:
    """A URI that cannot be read is told like any other cause."""
    words = place.root / "words"
    words.touch()
    process = start("--uri=hf://acme", f"--last-words={words}")
    assert "hf://OWNER/NAME" in events(process)[-1]["action"]
    assert process.returncode == 1


@pytest.mark.slow
def test_cut_before_any_step(serve: Serve, place: Place, repository: Path) -> None:
    """Whatever step a fetch is killed before, the link is usable or absent, then usable."""
    shutil.rmtree(repository)
    write(repository, {"config.json": b"{}", "folder/model.safetensors": safetensors(100)})
    output = subprocess.run(
        [sys.executable, crash.__file__, serve().url, place.root],
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in output.stdout.splitlines()]
    assert len(told) > 20
    assert {each["after_cut"] for each in told} == {"absent", "usable"}
    assert {each["after_next"] for each in told} == {"usable"}
