"""What could end by itself while the control process is away for an hour, with its clock shortened.

Files, restarts of Envoy and of the control process are in `test_hostile_control.py`, renewed
certificates in `test_tls.py`, keys that end in `test_hostile_keys.py`, watches that are too old in
`test_control.py`, issuers' keys that are remembered in `test_oidc.py`, places that come back in
`test_leases.py`.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

from gateway.proxy import free_ports
from gateway.test_render import FRONT, SNAPSHOT
from modelops.cluster import ApiServer, Unreachable
from modelops.gateway.render import render

ENDING = {"ttl", "remote_jwks", "cache_duration", "dns_refresh_rate", "max_stream_duration"}
"""Fields of Envoy's that have something end, or be asked for anew, without a new file."""


def fields(value: Any) -> Iterator[str]:
    """Yield the names of all fields within a value."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from fields(inner)


def test_nothing_that_envoy_was_told_ends_by_itself() -> None:
    """Keys stand in the files, replicas are addresses, and no part is kept for a time only."""
    for name, text in render(SNAPSHOT, FRONT).items():
        assert not ENDING & set(fields(json.loads(text))), name
        assert "_DNS" not in text, name


def test_a_token_of_the_cluster_that_ended_meanwhile_is_read_anew(tmp_path: Path) -> None:
    """A process that was held up for longer than its token lives goes on with the next one."""
    heard: list[str | None] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(request.headers.get("Authorization"))
        return web.json_response({})

    async def story(port: int) -> None:
        token, authority = tmp_path / "token", tmp_path / "ca.crt"
        token.write_text("first")
        authority.write_text("an authority")
        loader = InClusterConfigLoader(
            str(token), str(authority), environ={
                "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)
            },
        )  # fmt: skip
        configuration = Configuration()
        loader.load_and_set(configuration)
        loader.host = configuration.host = f"http://127.0.0.1:{port}"
        loader.ssl_ca_cert = configuration.ssl_ca_cert = None
        server = ApiServer(configuration)
        try:
            await server.request("GET", "/api", None, "application/json")
            token.write_text("second")
            loader.token_expires_at = datetime.now() - timedelta(hours=1)  # noqa: DTZ005  as the loader's own
            await server.request("GET", "/api", None, "application/json")
            token.unlink()
            loader.token_expires_at = datetime.now() - timedelta(hours=1)  # noqa: DTZ005
            with pytest.raises(Unreachable):
                await server.request("GET", "/api", None, "application/json")
        finally:
            await server.close()

    async def play() -> None:
        app = web.Application()
        app.router.add_get("/api", hear)
        runner = web.AppRunner(app)
        await runner.setup()
        (port,) = free_ports(1)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            await story(port)
        finally:
            await runner.cleanup()

    asyncio.run(play())
    assert heard == ["bearer first", "bearer second"]
