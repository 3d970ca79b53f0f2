"""The control process after an error that nobody foresaw."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.proxy import free_ports, until
from modelops.gateway import main
from modelops.gateway.lives import CALM_SECONDS, LONGEST_SECONDS, lives
from modelops.gateway.settings import Settings


def dying(lengths: list[float]) -> tuple[list[float], Callable[[], object]]:
    """Return the pauses that are made, and what plays lives of these lengths that end badly."""
    clock, pauses, left = [0.0], [], iter(lengths)

    async def life() -> None:
        length = next(left, None)
        if length is not None:
            clock[0] += length
            raise ExceptionGroup("all at once", [ValueError("nobody foresaw this")])

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    return pauses, lambda: lives(life, lambda: clock[0], sleep)


def test_it_begins_anew_with_longer_and_longer_pauses(caplog: pytest.LogCaptureFixture) -> None:
    """Each error is told with its cause; a long life makes the next pause a short one."""
    pauses, play = dying([0.0] * 7 + [CALM_SECONDS, 0.0])
    asyncio.run(play())
    assert pauses == [1, 2, 4, 8, 16, LONGEST_SECONDS, LONGEST_SECONDS, 1, 2]
    assert len(caplog.records) == len(pauses)
    assert "nobody foresaw this" in caplog.text


@pytest.mark.parametrize("when", ["while it works", "in a pause"])
def test_sigterm_ends_it_at_any_time(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """A pod that is stopped waits for no pause, and is not begun anew."""
    begun: list[str] = []

    async def run(settings: Settings) -> None:
        begun.append(settings.folder)
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
        if when == "in a pause":
            raise OSError("away")
        await asyncio.Event().wait()

    async def story() -> None:
        async with asyncio.timeout(20):
            await main.stay(Settings())

    monkeypatch.setattr(main, "run", run)
    monkeypatch.setattr("modelops.gateway.lives.FIRST_SECONDS", 60.0)
    asyncio.run(story())
    assert len(begun) == 1


def test_the_real_process_stays_up_and_recovers(tmp_path: Path) -> None:
    """A port that somebody else has for a while costs an error in the log, and not the process."""
    names = ("ADMIN", "METRICS", "LIMITER", "SCALER", "DEMAND", "ACTIVATOR")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    away = {"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    user = {"name": "a", "user": {}}
    known = {"clusters": [away], "contexts": [context], "users": [user], "current-context": "a"}
    (tmp_path / "kubeconfig").write_text(json.dumps(known))
    env = {f"MODELOPS_GATEWAY_{name}_PORT": str(port) for name, port in ports.items()} | {
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "MODELOPS_GATEWAY_FOLDER": str(tmp_path),
        "MODELOPS_GATEWAY_BIND_ADDRESS": "127.0.0.1",
        "MODELOPS_GATEWAY_PEERS": "",
        "MODELOPS_GATEWAY_SETTLE_SECONDS": "0",
    }
    taken = socket.create_server(("127.0.0.1", ports["METRICS"]))
    log = tmp_path / "log"
    command = [sys.executable, "-m", "modelops.gateway.main"]
    with log.open("w") as out, subprocess.Popen(command, env=os.environ | env, stderr=out) as made:
        try:
            until(lambda: "begins anew" in log.read_text(), 60)
            taken.close()
            until(lambda: _listens(ports["METRICS"]) and _listens(ports["LIMITER"]), 60)
            made.send_signal(signal.SIGTERM)
            assert made.wait(30) == 0
        finally:
            made.kill()
    assert "Address already in use" in log.read_text()


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
