"""`python -m e2e.bench.overload`: what a model that is asked for three times too much still does.

An engine works on so many requests at a time and keeps the others in line, as vLLM does. Callers
come by chance at a rate, wait for so long and then go. Goodput is answers in time per second.
"""

import asyncio
import json
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
from aiohttp import web

from e2e.bench.record import Figure, record
from e2e.platform import ROOT
from modelops.gateway.files import publish
from modelops.gateway.keys import KeyRecord, SigningKey
from modelops.gateway.render import BOOTSTRAP, render
from modelops.gateway.snapshot import Endpoint, Front, Model, Snapshot

SLOTS: Final = 16
WORK_SECONDS: Final = 0.25
CAPACITY: Final = SLOTS / WORK_SECONDS
PATIENCE_SECONDS: Final = 5.0
MEASURED_SECONDS: Final = 15
WARM_SECONDS: Final = 5
LIMITER: Final = ROOT / "tests" / "gateway" / "limiterd.py"


async def engine(port: int) -> None:
    """Answer on loopback, so many at a time, the others in their order."""
    slots = asyncio.Semaphore(SLOTS)

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        async with slots:
            await asyncio.sleep(WORK_SECONDS)
        return web.json_response({"usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    app = web.Application()
    app.add_routes([web.post("/{path:.*}", answer)])
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


@contextmanager
def gateway(folder: Path, *, gated: bool) -> Iterator[tuple[str, str]]:
    """Run an engine, an Envoy and the process that it asks; give a URL and a key."""
    signing, (port, admin, metrics, limiter, model) = SigningKey.generate(), _ports(5)
    front = Front(str(folder), "127.0.0.1", port, admin, metrics, limiter_port=limiter)
    served = Model("m", "bench", "m", 1, (Endpoint("127.0.0.1", model),))
    capable = replace(served, capacity=SLOTS if gated else None)
    publish(folder, render(Snapshot((capable,), public_keys=(signing.public,)), front), {})
    told = {
        "port": limiter, "redis": "", "pod": "one", "open": True, "tenants": [], "key_tokens": {},
        "models": [asdict(capable)], "routes": [], "admin": admin, "folder": str(folder),
    }  # fmt: skip
    envoy = [_envoy(), "-c", str(folder / BOOTSTRAP), "--concurrency", "1"]
    with ExitStack() as stack:
        for command in (
            [sys.executable, "-m", "e2e.bench.overload", str(model)],
            [sys.executable, str(LIMITER), json.dumps(told)],
            [*envoy, "--use-dynamic-base-id", "--log-level", "error"],
        ):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        for each in (model, limiter, port):
            _until_listens(each)
        now = int(time.time())
        yield f"http://127.0.0.1:{port}", signing.sign(KeyRecord("k", "t", ("*",), now, now + 3600))


def _envoy() -> str:
    found = find_spec("envoy")
    places = found.submodule_search_locations if found else None
    assert places
    return str(Path(places[0]) / "_bin" / "envoy")


def _ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for opened in sockets:
        opened.close()
    return ports


def _until_listens(port: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on {port}"
            time.sleep(0.1)
        else:
            return


async def load(url: str, key: str, rate: float) -> Counter[int]:
    """Send requests at a rate; count the answers of the measured time by status, 0 is too late."""
    counted: Counter[int] = Counter()
    chance = random.Random(1)  # noqa: S311  the same arrivals each time
    timeout, headers = aiohttp.ClientTimeout(PATIENCE_SECONDS), {"Authorization": f"Bearer {key}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(url, timeout=timeout, headers=headers, connector=connector) as client,
        asyncio.TaskGroup() as group,
    ):
        begin, due = time.monotonic(), 0.0
        while due < WARM_SECONDS + MEASURED_SECONDS:
            due += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, begin + due - time.monotonic()))
            measured = counted if due >= WARM_SECONDS else Counter[int]()
            group.create_task(_ask(client, measured))
    return counted


async def _ask(client: aiohttp.ClientSession, counted: Counter[int]) -> None:
    try:
        async with client.post("/v1/chat/completions", json={"model": "m"}) as answer:
            await answer.read()
            counted[answer.status] += 1
    except (TimeoutError, aiohttp.ClientError):
        counted[0] += 1


def goodput(share: float, *, gated: bool) -> float:
    """Return answers in time per second at that share of what the engine can do."""
    with TemporaryDirectory() as folder, gateway(Path(folder), gated=gated) as (url, key):
        counted = asyncio.run(load(url, key, share * CAPACITY))
    print(f"{share:.1f} x capacity, {'gated' if gated else 'bare'}: {dict(counted)}", flush=True)
    return counted[200] / MEASURED_SECONDS


def measure() -> None:
    """Measure goodput at three times the capacity beside its peak, and without a gate."""
    peak = max(goodput(share, gated=True) for share in (0.9, 1.0, 1.2))
    over, bare = goodput(3, gated=True), goodput(3, gated=False)
    rivals = {"peak": peak, "overloaded": over, "ungated": bare}
    record("overload", [Figure("goodput_ratio_at_3x_overload", over / peak, "ratio", rivals)])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(engine(int(sys.argv[1])))
    else:
        measure()
