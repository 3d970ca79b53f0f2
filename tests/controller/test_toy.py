"""A kind and a runtime that only tests know go through the loop like any other."""

import asyncio

from controller.fake import FakeApiServer
from modelops.api.base import API_VERSION
from modelops.cluster import Cluster, plurals
from modelops.controller.loop import Loop
from modelops.controller.watch import watcher
from modelops.sync.observed import Ref
from toy.catalogue import ECHO_MODEL, toy_catalogue

REF = Ref(API_VERSION, ECHO_MODEL.name, "team", "canyon")


async def _nothing() -> None:
    return None


def test_a_toy_kind_goes_through_the_loop() -> None:
    """A kind that is only in the catalogue gets its children and its status."""
    server, catalogue = FakeApiServer(), toy_catalogue()
    manifest = {
        "apiVersion": API_VERSION,
        "kind": ECHO_MODEL.name,
        "metadata": {"name": REF.name, "namespace": REF.namespace},
        "spec": {"model": {"uri": "pvc://models/rocks"}},
    }
    server.put(manifest, ECHO_MODEL.plural)
    loop = Loop(Cluster(server, plurals(catalogue.kinds)), catalogue)
    for _ in range(2):
        asyncio.run(loop.run(REF))
    deployment = server.find("deployments", "team/canyon")
    assert deployment
    (engine,) = deployment["spec"]["template"]["spec"]["containers"]
    assert engine["command"][0] == "echo-server"
    found = server.find(ECHO_MODEL.plural, "team/canyon")
    assert found
    assert found["status"]["runtime"] == "echo"


def test_a_toy_kind_is_watched() -> None:
    """Every kind of the catalogue is watched, whatever its name."""
    registry = watcher(toy_catalogue(), lambda _: None, _nothing, _nothing)
    watched = {h.selector.any_name for h in registry._watching.get_all_handlers()}  # noqa: SLF001
    assert ECHO_MODEL.plural in watched
