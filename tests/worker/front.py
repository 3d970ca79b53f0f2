"""A real Envoy with the job API beside it, in front of a site where jobs are done."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import httpx

from gateway.conftest import model
from gateway.proxy import Gateway, free_ports, gateway, until
from modelops.gateway.jobapi.figures import Figures
from modelops.gateway.jobapi.office import Office
from modelops.gateway.settings import Settings
from worker.conftest import Site

MASTER = "a master key"


@dataclass
class Front:
    """Where callers ask."""

    gateway: Gateway
    office: Office

    def client(self, tenant: str = "acme", *models: str) -> httpx.Client:
        """Return a client with a key of a tenant, for all models if none is named."""
        return self.gateway.client(self.gateway.key(*(models or ("*",)), tenant=tenant))


@contextmanager
def front(site: Site, **settings: object) -> Iterator[Front]:
    """Run Envoy and the job API, which serve `painter`, of jobs, and `writer`, of requests."""
    (port,) = free_ports(1)
    said = Settings(
        jobs_port=port,
        jobs_redis_url=site.redis.url,
        jobs_s3_endpoint=site.s3.url,
        jobs_s3_bucket="jobs",
        jobs_webhook_key=MASTER,
        jobs_allowed_networks=("127.0.0.0/8",),
        **settings,  # type: ignore[arg-type]
    )
    folder = site.folder / f"envoy-{port}"
    folder.mkdir()
    with patch.dict(os.environ, site.s3.environment), gateway(folder, jobs_port=port) as envoy:
        office = Office.of(said, Figures())
        envoy.serve(models=(model("painter", jobs=True), model("writer")))
        office.follow(envoy.snapshot)
        with running(office):
            made = Front(envoy, office)
            with made.client() as client:
                until(lambda: len(client.get("/v1/models").json().get("data", [])) == 2, 10)
                until(lambda: client.get("/v1/jobs").status_code == 200, 10)
            yield made


@contextmanager
def running(office: Office) -> Iterator[None]:
    """Run the job API on a thread of its own."""
    loop = asyncio.new_event_loop()
    ended = threading.Event()

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            ended.set()
        finally:
            assert office.desk
            loop.run_until_complete(office.desk.news.redis.aclose())
            loop.close()

    task = loop.create_task(office.run())
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        assert ended.is_set()
