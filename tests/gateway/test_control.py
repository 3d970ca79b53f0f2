"""From the cluster to Envoy's files, and what happens while the cluster is away."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from beside import beside
from gateway.cluster import WatchedApiServer, policy, replicas, text_model
from modelops.api.group import EVERY_KIND
from modelops.cluster import Cluster, plurals
from modelops.gateway.control import Control, View
from modelops.gateway.files import published
from modelops.gateway.keys import KeyRecord
from modelops.gateway.keystore import KeyStore, UnknownKey
from modelops.gateway.metrics import Metrics
from modelops.gateway.render import BOOTSTRAP
from modelops.gateway.snapshot import Front

SYSTEM = "modelops-system"
RECORD = KeyRecord("k1", "acme", ("*",), 1, 4_000_000_000, rpm=7000)
EXPIRED = KeyRecord("k0", "acme", ("*",), 1, 2, rpm=5000)


class Stage:
    """A control process in front of a fake API server."""

    def __init__(self, folder: Path, server: WatchedApiServer | None = None) -> None:
        """Write into that folder what that server has, or one that is empty."""
        self.server = server or WatchedApiServer()
        self.folder = folder
        cluster = Cluster(self.server, plurals(EVERY_KIND))
        self.store = KeyStore(cluster, SYSTEM)
        news = asyncio.Event()
        view = View.of(cluster, SYSTEM, (), news.set)
        self.control = Control(view, Front(str(folder)), Metrics.create(), news)

    async def until(self, holds: Callable[[dict[str, str]], bool]) -> None:
        """Wait until the files are as they shall be."""
        async with asyncio.timeout(5):
            while not holds(published(self.folder)):
                await self.server.tell()
                await asyncio.sleep(0.01)


def play(folder: Path, story: Callable[[Stage], object]) -> None:
    """Run a story beside a control process."""

    async def run() -> None:
        stage = Stage(folder)
        async with beside(stage.control.run()):
            await story(stage)

    asyncio.run(run())


def test_models_and_replicas_are_followed(tmp_path: Path) -> None:
    """A model has a route as soon as it exists, and those replicas that are ready."""

    async def story(stage: Stage) -> None:
        await stage.until(lambda files: BOOTSTRAP in files)
        await stage.server.have(
            text_model("chat", name="llama"), replicas("chat", one=True, two=False)
        )
        name = "clusters.json"
        await stage.until(lambda files: "one.example" in files[name])
        assert "two.example" not in published(tmp_path)[name]
        assert '"llama"' in published(tmp_path)["routes.json"]
        await stage.server.have(replicas("chat", one=True, two=True))
        await stage.until(lambda files: "two.example" in files[name])
        del stage.server.objects[next(a for a in stage.server.objects if a[1] == "textmodels")]
        await stage.until(lambda files: "team.chat" not in files["routes.json"])

    play(tmp_path, story)


def test_routes_and_tenants_are_followed(tmp_path: Path) -> None:
    """A route leads to its models as they come and go; a tenant counts where the platform is."""

    async def story(stage: Stage) -> None:
        spec = {"targets": [{"model": "chat"}], "fallback": ["spare"]}
        await stage.server.have(policy("ModelRoute", "best", "team", spec), text_model("chat"))
        chain, routes = "team.best/chat", "routes.json"
        await stage.until(lambda files: '"best"' in files.get(routes, ""))
        assert chain not in published(tmp_path)["clusters.json"]
        await stage.server.have(text_model("spare"))
        await stage.until(lambda files: chain in files["clusters.json"])
        narrow = {"models": ["best"]}
        await stage.server.have(policy("Tenant", "elsewhere", "team", narrow))
        await stage.server.have(policy("Tenant", "acme", SYSTEM, narrow))
        await stage.until(lambda files: '"acme"' in files[routes])
        assert '"elsewhere"' not in published(tmp_path)[routes]
        gone = next(a for a in stage.server.objects if a[1] == "modelroutes")
        del stage.server.objects[gone]
        await stage.until(lambda files: chain not in files[routes])

    play(tmp_path, story)


def test_nothing_is_written_before_all_is_known(tmp_path: Path) -> None:
    """As long as one kind cannot be listed Envoy gets no configuration that lacks it."""

    async def story(stage: Stage) -> None:
        stage.server.down = True
        await stage.until(lambda _: stage.server.refused > 3)
        assert published(tmp_path) == {}
        stage.server.down = False
        await stage.until(lambda files: BOOTSTRAP in files)

    play(tmp_path, story)


def test_the_last_files_stay_while_the_api_server_is_away(tmp_path: Path) -> None:
    """Nothing changes while the API server is away; what changed meanwhile comes after it."""

    async def story(stage: Stage) -> None:
        await stage.server.have(text_model("chat"))
        await stage.until(lambda files: '"chat"' in files.get("routes.json", ""))
        before = published(tmp_path)
        stage.server.down = True
        await stage.server.have(text_model("other"))
        await stage.until(lambda _: stage.server.refused > 3)
        assert published(tmp_path) == before
        stage.server.down = False
        await stage.until(lambda files: '"other"' in files["routes.json"])

    play(tmp_path, story)


def test_two_control_processes_on_one_folder_agree(tmp_path: Path) -> None:
    """One that has not gone yet and its successor write whole files, and the same in the end."""

    async def story(stage: Stage) -> None:
        second = Stage(tmp_path, stage.server)
        async with beside(second.control.run()):
            await stage.server.have(text_model("chat"), replicas("chat", one=True))
            await stage.until(lambda files: "one.example" in files.get("clusters.json", ""))
            for host in ("two", "three", "four"):
                await stage.server.have(replicas("chat", **{host: True}))
                await stage.until(lambda files, h=host: f"{h}.example" in files["clusters.json"])
                assert all(json.loads(text) for text in published(tmp_path).values())
            await stage.until(lambda files: "three.example" not in files["clusters.json"])

    play(tmp_path, story)
    assert not list(tmp_path.glob(".*"))


def test_a_version_that_is_too_old_is_no_end(tmp_path: Path) -> None:
    """When the API server has forgotten where a watch was, everything is read anew."""

    async def story(stage: Stage) -> None:
        stage.server.stale = True
        await stage.until(lambda files: BOOTSTRAP in files)
        await stage.server.have(text_model("chat"))
        await stage.until(lambda files: '"chat"' in files["routes.json"])

    play(tmp_path, story)


def test_keys_are_made_revoked_and_rotated(tmp_path: Path) -> None:
    """What the command line does with keys is what the gateway gets to know."""

    async def story(stage: Stage) -> None:
        store = stage.store
        await stage.until(lambda files: BOOTSTRAP in files)
        assert await store.add(RECORD)
        await store.add(EXPIRED)
        first = await store.signing_key()
        await stage.until(lambda files: first.id in files["modelops.json"])
        await stage.until(lambda files: '"7000":' in files["modelops.json"])
        assert '"5000":' not in published(tmp_path)["modelops.json"]
        await store.revoke("k1")
        await store.revoke("k0")
        await stage.until(lambda files: "k1" in files["modelops.json"])
        assert "k0" not in published(tmp_path)["modelops.json"]
        for _ in range(2):  # twice is no error
            await store.revoke("corp:alice")
        await stage.until(lambda files: "corp:alice" in files["modelops.json"])
        (foreign,) = [s for s in await store.list() if s.foreign]
        assert (foreign.id, foreign.revoked) == ("corp:alice", True)
        await store.restore("corp:alice")
        await stage.until(lambda files: "corp:alice" not in files["modelops.json"])
        with pytest.raises(UnknownKey):
            await store.restore("corp:alice")
        second = await store.rotate()
        await stage.until(lambda files: second.id in files["modelops.json"])
        assert first.id in published(tmp_path)["modelops.json"]
        assert await store.forget_old_signing_keys() == 1
        await stage.until(lambda files: first.id not in files["modelops.json"])
        assert (await store.signing_key()).id == second.id

    play(tmp_path, story)


def test_the_store_keeps_no_secret_where_gateways_read(tmp_path: Path) -> None:
    """The private key and the API keys themselves stand in no ConfigMap."""

    async def story(stage: Stage) -> None:
        key = await stage.store.add(RECORD)
        private = json.loads((await stage.store.signing_key()).private)["d"]
        maps = [s.manifest for a, s in stage.server.objects.items() if a[1] == "configmaps"]
        assert len(maps) == 2
        assert key.rpartition(".")[2] not in json.dumps(maps)
        assert private not in json.dumps(maps)
        listed = await stage.store.list()
        assert [(s.id, s.record, s.revoked) for s in listed] == [("k1", RECORD, False)]
        with pytest.raises(UnknownKey):
            await stage.store.revoke("k2")

    play(tmp_path, story)


def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Whoever spoils a key's record does not bring a revoked key back to life."""

    async def story(stage: Stage) -> None:
        await stage.store.add(RECORD)
        name = f"{SYSTEM}/api-key-k1"
        stage.server.edit("configmaps", name, lambda m: m.update(data={"record": "{}"}))
        await stage.until(lambda files: "k1" in files.get("modelops.json", ""))

    play(tmp_path, story)


def test_files_are_whole_again_after_a_failure(tmp_path: Path) -> None:
    """What was written before a failure counts, even if all is as it was before that."""

    async def story(stage: Stage) -> None:
        await stage.until(lambda files: BOOTSTRAP in files)
        spoilt = tmp_path / "routes.json"
        spoilt.unlink()
        spoilt.mkdir()
        await stage.server.have(text_model("chat"))
        async with asyncio.timeout(5):
            while "team.chat" not in (tmp_path / "clusters.json").read_text():
                await stage.server.tell()
                await asyncio.sleep(0.01)
        del stage.server.objects[next(a for a in stage.server.objects if a[1] == "textmodels")]
        async with asyncio.timeout(5):
            while any(one.objects for one in stage.control.view.models):
                await stage.server.tell()
                await asyncio.sleep(0.01)
        spoilt.rmdir()
        await stage.until(lambda files: "routes.json" in files)

    play(tmp_path, story)


def test_the_oldest_model_keeps_its_name(tmp_path: Path) -> None:
    """A newcomer that takes another's name gets none of its callers."""

    async def story(stage: Stage) -> None:
        old, new = text_model("old", "z", 1, name="chat"), text_model("new", "a", 2, name="chat")
        await stage.server.have(new, old)
        await stage.until(lambda files: "z.old" in files.get("routes.json", ""))
        assert "a.new" not in published(tmp_path)["routes.json"]

    play(tmp_path, story)
