"""The control process is gone: Envoy needs nothing but its files."""

import asyncio
import time
from pathlib import Path

import pytest

from beside import beside
from gateway.cluster import WatchedApiServer, text_model
from gateway.conftest import model
from gateway.engine import Engine
from gateway.proxy import Gateway, gateway, process, until
from modelops.api.group import EVERY_KIND
from modelops.cluster import Cluster, plurals
from modelops.gateway.control import Control, View
from modelops.gateway.files import published
from modelops.gateway.keys import KeyRecord
from modelops.gateway.keystore import KeyStore
from modelops.gateway.metrics import Metrics

SYSTEM = "modelops-system"
BODY = {"model": "llama-8b"}


async def until_known(folder: Path, api: WatchedApiServer, *texts: str) -> None:
    """Wait until the files hold these texts."""
    async with asyncio.timeout(10):
        while not all(text in "".join(published(folder).values()) for text in texts):
            await api.tell()
            await asyncio.sleep(0.01)


async def one_life(api: WatchedApiServer, running: Gateway, *texts: str) -> str:
    """Run the control process until the files hold these texts, then kill it; return an API key."""
    cluster, news = Cluster(api, plurals(EVERY_KIND)), asyncio.Event()
    now = int(time.time())
    key = await KeyStore(cluster, SYSTEM).add(
        KeyRecord(f"life-{len(texts)}", "acme", ("*",), now, now + 600)
    )
    view = View.of(cluster, SYSTEM, (), news.set)
    async with beside(Control(view, running.front, Metrics.create(), news).run()):
        await until_known(Path(running.front.folder), api, *texts)
    return key


def answered(running: Gateway, key: str, name: str) -> bool:
    """Tell whether a key is listed a model."""
    with running.client(key) as client:
        return client.get(f"/v1/models/{name}").status_code == 200


def test_envoy_serves_without_its_control_process(tmp_path: Path) -> None:
    """It serves what it knew last; so does one that starts anew; the next control goes on."""

    async def play() -> None:
        api = WatchedApiServer()
        await api.have(text_model("first"))
        with gateway(tmp_path) as running:
            key = await one_life(api, running, '"first"')
            await asyncio.to_thread(until, lambda: answered(running, key, "first"), 5)
            await api.have(text_model("second"))
            before = published(tmp_path)
            assert not await asyncio.to_thread(answered, running, key, "second")
            assert before == published(tmp_path)
            other = await one_life(api, running, '"first"', '"second"')
            await asyncio.to_thread(until, lambda: answered(running, other, "second"), 5)
            assert await asyncio.to_thread(answered, running, key, "first")

    asyncio.run(play())


def test_an_envoy_that_starts_without_control_serves_the_files(
    tmp_path: Path, fake: Engine
) -> None:
    """Envoy is killed and starts anew while nothing writes its files: it serves what they say."""
    with gateway(tmp_path) as first:
        first.serve(models=(model("llama-8b", fake.port),))
        key = first.key("*")
    with process(first.front), first.client(key) as client:
        assert client.post("/v1/completions", json=BODY).status_code == 200


@pytest.mark.parametrize("torn", ["", "{", '{"resources": [{"@type": "x"}]}', "\x00" * 100])
def test_a_file_that_is_torn_changes_nothing(tmp_path: Path, fake: Engine, torn: str) -> None:
    """Even a half-written file, which control never leaves, takes no model away."""
    with gateway(tmp_path) as running, running.client(running.key("*")) as client:
        running.serve(models=(model("llama-8b", fake.port),))
        until(lambda: client.get("/v1/models/llama-8b").status_code == 200, 5)
        half = tmp_path / ".half"
        half.write_text(torn)
        half.rename(tmp_path / "routes.json")
        refused = "rds.*update_(rejected|failure)"
        until(lambda: any(running.stats(refused).values()), 5)
        assert client.post("/v1/completions", json=BODY).status_code == 200
