"""What is known of the gateway's decisions, and for how long."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from modelops.controller.decisions import STALE_SECONDS, Decisions
from modelops.scaling.decision import Decision
from modelops.sync.observed import Ref

REF = Ref("modelops.dev/v1alpha1", "TextModel", "team", "chat")
ENTRY = {
    "replicas": 2,
    "active": True,
    "metric": "queueDepth",
    "sentence": "8 requests wait",
    "value": 8.0,
    "target": 4.0,
    "at": 100.0,
    "silent": False,
}
KNOWN = Decision(2, "queueDepth", "8 requests wait", 8.0, 4.0)


def heard(*pages: object) -> Decisions:
    """Return decisions that were read once from each of these pages, a second apart."""

    async def read() -> Decisions:
        told = iter(pages)

        async def page(_: web.Request) -> web.Response:
            return web.json_response(next(told))

        app = web.Application()
        app.add_routes([web.get("/decisions", page)])
        async with TestServer(app) as server, ClientSession() as session:
            decisions = Decisions(str(server.make_url("/decisions")))
            for number in range(len(pages)):
                await decisions.read(session, float(number))
            return decisions

    return asyncio.run(read())


def models(**entry: object) -> Mapping[str, Any]:
    """Return a page that tells of one model."""
    return {"models": {"team/chat": {**ENTRY, **entry}}}


def away(decisions: Decisions, at: float) -> None:
    """Have the gateway be asked in vain at that time."""

    async def read() -> None:
        async with ClientSession() as session:
            await decisions.read(session, at)

    asyncio.run(read())


def test_a_decision_is_known_until_it_is_stale() -> None:
    """A gateway that went away a moment ago is believed, and one that is away for long is not."""
    decisions = heard(models())
    assert decisions.of(REF) == KNOWN
    away(decisions, STALE_SECONDS - 1)
    assert (decisions.of(REF), bool(decisions.trouble)) == (KNOWN, True)
    away(decisions, STALE_SECONDS)
    assert decisions.of(REF) is None


def test_a_decision_that_is_not_made_anew_grows_stale() -> None:
    """By our own clock: the gateway's may be wrong by years."""
    same = [models()] * (int(STALE_SECONDS) + 1)
    assert heard(*same[:-1]).of(REF) == KNOWN
    assert heard(*same).of(REF) is None
    assert heard(*same, models(at=99.0)).of(REF) == KNOWN


@pytest.mark.parametrize(
    "page", [{}, [], {"models": 7}, {"models": {}}, models(replicas=-1), models(replicas="NaN")]
)
def test_nonsense_is_no_decision(page: object) -> None:
    """What cannot be read says nothing of the model."""
    assert heard(page).of(REF) is None


def test_nonsense_about_one_model_hides_no_other() -> None:
    """Each model is read by itself."""
    both = {"models": {"team/other": {"replicas": "many"}, "team/chat": ENTRY}}
    assert heard(both).of(REF) == KNOWN


def test_a_decision_of_ours_stands_until_a_request_waits() -> None:
    """A model that gave way stays at zero until the gateway knows, or somebody waits for it."""
    rest = Decision(0, "preemption", "sent to zero")
    decisions = heard(models())
    decisions.overrule(REF, rest)
    assert decisions.of(REF) == rest
    away(decisions, STALE_SECONDS)
    assert decisions.of(REF) is None
    wanted = heard(models(metric="held", replicas=1))
    wanted.overrule(REF, rest)
    assert wanted.of(REF) == Decision(1, "held", "8 requests wait", 8.0, 4.0)


def test_a_model_is_silent_only_when_that_is_known() -> None:
    """A gateway that says nothing of it, or of an older version, does not make a model idle."""
    assert heard(models(silent=True)).silent(REF)
    assert not heard(models()).silent(REF)
    assert not heard({"models": {}}).silent(REF)
