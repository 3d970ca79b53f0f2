"""The laws of the cluster's verbs, at the transport's seam."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from modelops import cluster as c
from modelops.sync.observed import Ref

POD = Ref("v1", "Pod", "team", "chat-1")
MODEL = Ref("modelops.dev/v1alpha1", "TextModel", "team", "chat")
PLURALS = {**c.PLURALS, (MODEL.api_version, MODEL.kind): "textmodels"}


@dataclass
class Script:
    """A transport that gives prepared answers and keeps what it was asked."""

    answers: list[c.Answer | Exception]
    asked: list[tuple[str, str, Any, str]] = field(default_factory=list)

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, content_type: str
    ) -> c.Answer:
        """Give the next answer."""
        self.asked.append((method, path, body, content_type))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def answer(status: int = 200, **body: Any) -> c.Answer:
    """Return a JSON answer."""
    return c.Answer(status, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, c.Invalid),
        (401, c.Unreachable),
        (403, c.Forbidden),
        (404, c.NotFound),
        (409, c.Conflict),
        (405, c.Refused),
        (422, c.Invalid),
        (429, c.Unreachable),
        (500, c.Unreachable),
        (503, c.Unreachable),
    ],
)
def test_an_error_carries_the_servers_sentence(status: int, kind: type[c.ClusterError]) -> None:
    """Each status has its error, with the message of the API server in it."""
    script = Script([answer(status, message="because of the law")])
    with pytest.raises(c.ClusterError, match="because of the law") as raised:
        asyncio.run(c.Cluster(script).get(POD))
    assert type(raised.value) is kind


def test_an_unknown_field_is_the_authors_mistake() -> None:
    """What the API server calls an error of its own in a wrong apply is a refusal."""
    message = "failed to create typed patch object (a/b): .spec.x: field not declared in schema"
    script = Script([answer(500, message=message)])
    with pytest.raises(c.Invalid, match="field not declared"):
        asyncio.run(c.Cluster(script).get(POD))


def test_a_webhook_that_is_down_is_told() -> None:
    """A write that a dead webhook stops is refused in words, not silently tried for ever."""
    message = 'Internal error occurred: failed calling webhook "policy.example": no endpoints'
    script = Script([answer(500, message=message)])
    with pytest.raises(c.Refused, match=r"policy\.example"):
        asyncio.run(c.Cluster(script).get(POD))


def test_an_answer_that_is_no_status_is_quoted() -> None:
    """A proxy's page in place of the API server's answer is shown, not swallowed."""
    script = Script([c.Answer(502, b"<h1>Bad Gateway</h1>")])
    with pytest.raises(c.Unreachable, match=r"502.*Bad Gateway"):
        asyncio.run(c.Cluster(script).get(POD))


def test_lists_are_read_to_their_end() -> None:
    """A list that comes in pages is one list, and each item knows what it is."""
    script = Script(
        [
            answer(metadata={"continue": "more"}, items=[{"metadata": {"name": "a"}}]),
            answer(metadata={}, items=[{"metadata": {"name": "b"}}]),
        ]
    )
    found = asyncio.run(c.Cluster(script).list("v1", "Pod", "team", {"a/b": "c", "d": "e"}))
    assert [(i["kind"], i["metadata"]["name"]) for i in found] == [("Pod", "a"), ("Pod", "b")]
    assert script.asked[0][1] == (
        "/api/v1/namespaces/team/pods?limit=500&labelSelector=a%2Fb%3Dc%2Cd%3De"
    )
    assert script.asked[1][1].endswith("&continue=more")


def test_an_apply_is_server_side_and_by_force() -> None:
    """Apply and status go to the right place with the manager's name."""
    script = Script([answer(), answer()])
    cluster = c.Cluster(script, PLURALS)
    manifest = {
        "apiVersion": MODEL.api_version,
        "kind": MODEL.kind,
        "metadata": {"name": "chat", "namespace": "team"},
    }
    asyncio.run(cluster.apply(manifest, "me"))
    asyncio.run(cluster.apply_status(MODEL, "u", {"x": 1}, "me"))
    place = "/apis/modelops.dev/v1alpha1/namespaces/team/textmodels/chat"
    assert [(m, p, t) for m, p, _, t in script.asked] == [
        ("PATCH", f"{place}?fieldManager=me&force=true", "application/apply-patch+yaml"),
        ("PATCH", f"{place}/status?fieldManager=me&force=true", "application/apply-patch+yaml"),
    ]
    assert script.asked[1][2]["metadata"]["uid"] == "u"


def test_a_delete_names_the_very_object() -> None:
    """A delete carries the uid, so that another object of that name survives."""
    script = Script([answer()])
    asyncio.run(c.Cluster(script).delete(POD, "u", "Foreground"))
    ((method, path, body, _),) = script.asked
    assert (method, path) == ("DELETE", "/api/v1/namespaces/team/pods/chat-1")
    assert body["preconditions"] == {"uid": "u"}
    assert body["propagationPolicy"] == "Foreground"


def test_the_end_of_a_log_is_read() -> None:
    """As many lines are asked for as wanted, never without a bound; no newline ends them."""
    script = Script([c.Answer(200, b"last words\n"), c.Answer(200, b"a\nb\n")])
    cluster = c.Cluster(script)
    assert asyncio.run(cluster.tail("team", "chat-1", "weights", 1)) == "last words"
    assert asyncio.run(cluster.tail("team", "chat-1", "engine", 2, previous=True)) == "a\nb"
    log = "/api/v1/namespaces/team/pods/chat-1/log?container="
    assert [path for _, path, *_ in script.asked] == [
        f"{log}weights&tailLines=1&limitBytes=65536",
        f"{log}engine&tailLines=2&limitBytes=65536&previous=true",
    ]


def test_every_call_is_counted_by_verb_and_resource() -> None:
    """Counts speak of verbs and resources as RBAC rules do; 0 stands for no answer."""
    counted: list[tuple[str, str, int]] = []
    body: dict[str, Any] = {"metadata": {}, "items": []}
    script = Script(
        [answer(**body), answer(**body), answer(), answer(404), c.Unreachable("gone"), answer()]
    )
    cluster = c.Cluster(script, PLURALS, lambda *call: counted.append(call))

    async def calls() -> None:
        await cluster.list(MODEL.api_version, MODEL.kind, None, {})
        await cluster.list("v1", "Pod", "team", {})
        await cluster.apply_status(MODEL, "u", {}, "me")
        for verb in (cluster.get(POD), cluster.tail("team", "chat-1", "weights", 1)):
            with pytest.raises(c.ClusterError):
                await verb
        await cluster.delete(POD, "u")

    asyncio.run(calls())
    assert counted == [
        ("list", "textmodels", 200),
        ("list", "pods", 200),
        ("patch", "textmodels/status", 200),
        ("get", "pods", 404),
        ("get", "pods/log", 0),
        ("delete", "pods", 200),
    ]


def test_names_cannot_leave_their_place_in_a_path() -> None:
    """A name with a slash is one name."""
    script = Script([answer()])
    asyncio.run(c.Cluster(script).get(Ref("v1", "Pod", "team", "../../secrets/x")))
    assert script.asked[0][1] == "/api/v1/namespaces/team/pods/..%2F..%2Fsecrets%2Fx"
