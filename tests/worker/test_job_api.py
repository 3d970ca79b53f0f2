"""The job API through a real Envoy, with a real worker, Redis and S3, and a fake engine."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import openai
import pytest
from redis import Redis

from gateway.proxy import until
from modelops.gateway.jobapi.signature import headers
from modelops.jobs.names import USAGE
from worker.conftest import Site
from worker.fake_engine import png
from worker.front import Front, front

GENERATE = "/v1/images/generations"
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def desk(site: Site) -> Iterator[Front]:
    """The gateway in front of the site."""
    with front(site, jobs_answer_seconds=20) as made:
        yield made


@pytest.fixture(autouse=True)
def _empty(site: Site, desk: Front) -> None:
    del desk
    with Redis.from_url(site.redis.url) as redis:
        redis.flushall()
    (site.folder / "runs").unlink(missing_ok=True)


def painted(**fields: Any) -> dict[str, Any]:
    """Return the body of a request for images."""
    return {"model": "painter", "prompt": "a cat", **fields}


def test_the_official_client_gets_images(site: Site, desk: Front) -> None:
    """`images.generate`, `edit` and `create_variation` answer with what was made."""
    key = desk.gateway.key("painter")
    with site.worker(), openai.OpenAI(base_url=f"{desk.gateway.url}/v1", api_key=key) as client:
        made = client.images.generate(model="painter", prompt="a cat", n=2, size="64x64")
        assert made.data
        assert [httpx.get(str(image.url)).content for image in made.data] == [png()] * 2
        inline = client.images.generate(model="painter", prompt="x", response_format="b64_json")
        assert inline.data
        assert base64.b64decode(str(inline.data[0].b64_json)) == png()
        edited = client.images.edit(model="painter", image=("a.png", png(8, 8)), prompt="a hat")
        assert edited.data
        with pytest.warns(DeprecationWarning, match="deprecated"):
            varied = client.images.create_variation(model="painter", image=("a.png", png(8, 8)))
        assert varied.data
        assert varied.data[0].url
    assert len(site.runs) == 4


def test_a_job_is_followed_to_its_end(site: Site, desk: Front) -> None:
    """202 names the job; it tells its place, then how far it is, then what it made."""
    with desk.client() as client:
        first = client.post(GENERATE, json=painted(), headers=ASYNC)
        second = client.post(GENERATE, json=painted(), headers={"Prefer": "wait=0"})
        assert (first.status_code, second.status_code) == (202, 202)
        told = second.json()
        assert (told["status"], told["jobs_before"]) == ("queued", 1)
        assert second.headers["location"] == f"/v1/jobs/{told['id']}"
        pending = client.get(f"/v1/jobs/{told['id']}/result")
        assert (pending.status_code, pending.json()["error"]["code"]) == (409, "job_not_ended")
        with site.worker(), client.stream("GET", f"/v1/jobs/{told['id']}/events") as events:
            said = [json.loads(e[6:]) for e in events.iter_lines() if e.startswith("data: ")]
        assert [said[0]["status"], said[-1]["status"]] == ["queued", "succeeded"]
        assert any(each["status"] == "running" for each in said)
        images = client.get(f"/v1/jobs/{told['id']}/result").json()
        assert images["data"][0]["seed"] == 0
        listed = client.get("/v1/jobs?limit=1").json()
        assert ([job["id"] for job in listed["data"]], listed["has_more"]) == ([told["id"]], True)
    with Redis.from_url(site.redis.url) as redis:
        bills = redis.xrange(USAGE)
        assert len(bills) == 2  # type: ignore[arg-type]
        assert bills[0][1][b"tenant"] == b"acme"  # type: ignore[index]


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"size": "1025x64"}, "`width` is 1025: this model takes up to 1024"),
        ({"steps": 101}, "`steps` is 101"),
        ({"n": 10}, "`n` is 10"),
    ],
    ids=["width", "steps", "n"],
)
def test_what_is_over_the_engines_limits_is_refused_before_it_waits(
    site: Site, desk: Front, over: dict[str, Any], says: str
) -> None:
    """Once its worker has told what an engine takes, more is the caller's mistake, at once."""
    with desk.client() as client, site.worker():

        def refused() -> httpx.Response:
            return client.post(GENERATE, json=painted(**over), headers=ASYNC)

        until(lambda: refused().status_code == 400, 30)
        assert says in refused().json()["error"]["message"]
        inside = painted(size="1024x2048", steps=100, n=9)
        assert client.post(GENERATE, json=inside, headers=ASYNC).status_code == 202


def test_only_the_tenant_sees_its_jobs(desk: Front) -> None:
    """Another tenant's key finds no job, whatever headers its caller sends."""
    with desk.client("acme") as mine, desk.client("other") as other:
        path = mine.post(GENERATE, json=painted(), headers=ASYNC).headers["location"]
        forged = {"x-modelops-tenant": "acme", "x-modelops-model": "painter"}
        for method, end in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")):
            answer = other.request(method, path + end, headers=forged)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")
        assert other.get("/v1/jobs", headers=forged).json()["data"] == []
        assert mine.get(path).json()["status"] == "queued"


def test_a_job_is_cancelled_and_deleted(site: Site, desk: Front) -> None:
    """A cancelled job stays known until it is deleted, with the files that came with it."""
    with desk.client() as client:
        form = {"image": ("a.png", png(8, 8), "image/png")}
        asked = {"model": "painter", "prompt": "x"}
        made = client.post("/v1/images/edits", data=asked, files=form, headers=ASYNC)
        path = made.headers["location"]
        assert (site.bucket / made.json()["id"] / "in" / "image").read_bytes() == png(8, 8)
        assert client.post(f"{path}/cancel").json()["status"] == "cancelled"
        assert client.get(f"{path}/result").json()["error"]["code"] == "job_cancelled"
        assert client.delete(path).json()["deleted"] is True
        assert client.get(path).status_code == 404
        assert not list(site.bucket.glob(f"{made.json()['id']}/**/image"))


def test_the_same_key_asks_once(site: Site, desk: Front) -> None:
    """An Idempotency-Key gives the first answer again, and is refused for another request."""
    with desk.client() as client:
        once = {"Idempotency-Key": "one", **ASYNC}
        first = client.post(GENERATE, json=painted(), headers=once)
        again = client.post(GENERATE, json=painted(), headers=once)
        assert first.json()["id"] == again.json()["id"]
        other = client.post(GENERATE, json=painted(prompt="a dog"), headers=once)
        assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
        with site.worker():
            assert client.post(
                GENERATE, json=painted(), headers=once | {"Prefer": "wait=20"}
            ).is_success
    assert len(site.runs) == 1


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"prompt": ""}, "prompt"),
        ({"n": 11}, "`n`"),
        ({"size": "1x99999"}, "size"),
        ({"size": "0x5"}, "size"),
        ({"steps": 0}, "steps"),
        ({"response_format": "gif"}, "response_format"),
        ({"image_url": "http://169.254.169.254/latest"}, "image"),
        ({"image_url": "file:///etc/passwd"}, "image"),
        ({"webhook": "http://10.0.0.1/"}, "webhook"),
        ({"mask_url": "https://example.com/m.png"}, "mask"),
        ({"loras": "no"}, "loras"),
        ({"control_net": "canny"}, "control_net"),
        ({"control_scale": 3}, "control_scale"),
        ({"reference_scale": 2}, "reference_scale"),
        ({"reference_url": "http://10.0.0.1/x"}, "reference"),
    ],
)
def test_mistakes_are_told_at_once(desk: Front, fields: dict[str, Any], part: str) -> None:
    """What a request may not say is refused by name, and no job is made of it."""
    with desk.client() as client:
        answer = client.post(GENERATE, json=painted(**fields))
        assert answer.status_code == 400
        assert part in answer.json()["error"]["message"]
        assert client.get("/v1/jobs").json()["data"] == []


def test_files_are_looked_at(desk: Front) -> None:
    """What is no picture, or one that would be huge, is refused before anything is stored."""
    with desk.client() as client:
        bomb = png(1, 1)[:16] + (60_000).to_bytes(4, "big") * 2 + png(1, 1)[24:]
        for content in (b"#!/bin/sh", png()[:20], bomb):
            files = {"image": ("a.png", content, "image/png")}
            asked = {"model": "painter", "prompt": "x"}
            answer = client.post("/v1/images/edits", data=asked, files=files)
            assert (answer.status_code, answer.json()["error"]["type"]) == (
                400,
                "invalid_request_error",
            )


def test_models_answer_what_they_are_for(desk: Front) -> None:
    """Images of a text model, texts of an image model, and models of other keys: all unknown."""
    with desk.client() as client, desk.client("acme", "writer") as other:
        for asking, path, name in (
            (client, GENERATE, "writer"),
            (client, "/v1/chat/completions", "painter"),
            (other, GENERATE, "painter"),
        ):
            answer = asking.post(path, json=painted(model=name))
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_a_failure_is_told_as_what_it_is(site: Site, desk: Front) -> None:
    """An unsafe request is the caller's mistake; an engine that breaks is the platform's."""
    with site.worker(), desk.client() as client:
        unsafe = client.post(GENERATE, json=painted(prompt="unsafe"))
        assert (unsafe.status_code, unsafe.json()["error"]["code"]) == (400, "unsafe")
        broken = client.post(GENERATE, json=painted(prompt="poison"))
        assert (broken.status_code, broken.json()["error"]["code"]) == (500, "engine_lost")


class Listener(HTTPServer):
    """Takes webhooks, of which it refuses the first."""

    def __init__(self) -> None:
        """Listen on loopback."""
        super().__init__(("127.0.0.1", 0), _Hook)
        self.heard: list[tuple[dict[str, str], bytes]] = []


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Note what came."""
        server = self.server
        assert isinstance(server, Listener)
        body = self.rfile.read(int(self.headers["content-length"]))
        server.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(500 if len(server.heard) == 1 else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_webhook_is_signed_and_tried_again(site: Site, desk: Front) -> None:
    """The end of a job is told until it is taken, signed with what only the tenant knows."""
    with Listener() as listener, site.worker(), desk.client() as client:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        hook = f"http://localhost:{listener.server_address[1]}/hook"
        client.post(GENERATE, json=painted(webhook=hook)).raise_for_status()
        until(lambda: len(listener.heard) >= 2, 30)
        listener.shutdown()
        secret = client.get("/v1/jobs/webhook-secret").json()["secret"]
        with desk.client("other") as other:
            assert other.get("/v1/jobs/webhook-secret").json()["secret"] != secret
    said, body = listener.heard[1]
    timestamp = int(said["webhook-timestamp"])
    assert abs(time.time() - timestamp) < 60
    signed = headers(secret, said["webhook-id"], timestamp, body)
    assert said["webhook-signature"] == signed["webhook-signature"]
    assert json.loads(body)["type"] == "job.succeeded"
    assert json.loads(body)["data"]["id"] == said["webhook-id"]


def test_without_redis_callers_are_told_so(site: Site, desk: Front) -> None:
    """While the queue is away requests are refused for now, and go on when it is back."""
    with desk.client() as client:
        kept = client.post(GENERATE, json=painted(), headers=ASYNC).headers["location"]
        site.redis.stop()
        try:
            answer = client.post(GENERATE, json=painted())
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert answer.json()["error"]["code"] == "jobs_unavailable"
        finally:
            site.redis.start()
        until(lambda: client.get(kept).status_code == 200, 20)
        with site.worker():
            until(lambda: client.get(kept).json()["status"] == "succeeded", 30)


def test_a_tenant_with_too_many_jobs_is_told_when_to_come_again(site: Site) -> None:
    """The quota of a tenant is its own: another's job is taken."""
    with front(site, jobs_quota=1) as desk, desk.client("a") as one, desk.client("b") as other:
        assert one.post(GENERATE, json=painted(), headers=ASYNC).status_code == 202
        answer = one.post(GENERATE, json=painted(), headers=ASYNC)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "jobs_quota_exceeded")
        assert int(answer.headers["retry-after"]) >= 1
        assert other.post(GENERATE, json=painted(), headers=ASYNC).status_code == 202
