"""One Ray node, all of it inside this container, and the engine on it."""

import logging
import re
import sys
import time
from typing import Any, Final

import ray
from ray import serve

from diffusion.deployment import Engine
from diffusion.end import End
from diffusion.options import Options

OBJECT_STORE_BYTES: Final = 80 * 1024 * 1024
"""The smallest that Ray takes: pictures go by files."""

NAME: Final = "engine"
TEMPORARY: Final = "/tmp/ray"
_ERROR: Final = re.compile(r"[\w.]*(Error|Exception)\b.*:")
_QUIET: Final = {"enable_access_log": False, "log_level": "WARNING"}


def run(options: Options, end: End) -> int:
    """Serve until the end, then finish the jobs that are open; 1 where the engine cannot start."""
    _start(options)
    end.listen()
    try:
        handle = serve.run(_engine(options), name=NAME, route_prefix="/")
    except RuntimeError:
        sys.stderr.write(f"{_cause()}\n")
        return 1
    end.serving = True
    end.asked.wait()
    _drain(handle, time.monotonic() + options.drain_seconds)
    serve.shutdown()
    ray.shutdown()
    return 0


def _start(options: Options) -> None:
    """Start Ray's processes, and its HTTP proxy."""
    ray.init(
        address="local",
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        logging_level=logging.WARNING,
        num_gpus=0 if options.device == "cpu" else None,
        _temp_dir=TEMPORARY,
    )
    address = {"host": options.host, "port": options.port}
    serve.start(http_options=address, logging_config=_QUIET)


def _engine(options: Options) -> Any:
    """Return the engine; it has all the GPUs that there are."""
    return Engine.options(
        ray_actor_options={"num_cpus": 0, "num_gpus": ray.cluster_resources().get("GPU", 0)},
        graceful_shutdown_timeout_s=options.drain_seconds,
        logging_config=_QUIET,
    ).bind(options)


def _cause() -> str:
    """Return why the engine did not start: the last line of what Ray remembers of it."""
    deployments = serve.status().applications[NAME].deployments.values()
    told = [line for each in deployments for line in each.message.splitlines() if line.strip()]
    return next((line for line in reversed(told) if _ERROR.match(line)), "\n".join(told))


def _drain(handle: Any, deadline: float) -> None:
    """Wait until no job is open; what comes meanwhile is served, too."""
    while time.monotonic() < deadline and handle.open_jobs.remote().result():
        time.sleep(0.2)
