"""`python -m modelops.gateway.main`: the control process beside Envoy."""

import asyncio
import logging
import signal
import sys

from prometheus_client import start_http_server
from pydantic import ValidationError
from pythonjsonlogger.json import JsonFormatter

from modelops.api.group import EVERY_KIND
from modelops.cluster import RECURSION_LIMIT, ApiServer, Cluster, plurals
from modelops.gateway.control import Control, View
from modelops.gateway.metrics import Metrics
from modelops.gateway.settings import Settings


async def run(settings: Settings) -> None:
    """Keep Envoy's files right until SIGTERM."""
    metrics = Metrics.create()
    start_http_server(settings.metrics_port, registry=metrics.registry)
    server = await ApiServer.connect()
    cluster = Cluster(server, plurals(EVERY_KIND), metrics.count_call)
    news = asyncio.Event()
    view = View.of(cluster, settings.system_namespace, settings.namespaces, news)
    working = asyncio.create_task(Control(view, settings.front, metrics, news).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        logging.getLogger(__name__).info("stopped; Envoy goes on with what it has")
    finally:
        await server.close()


def main() -> int:
    """Run the control process; the exit code is 2 for wrong settings."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"wrong setting MODELOPS_GATEWAY_...: {error}\n")
        return 2
    sys.setrecursionlimit(RECURSION_LIMIT)
    handler = logging.StreamHandler(sys.stderr)
    form = "{levelname}{name}{message}"
    handler.setFormatter(JsonFormatter(form, style="{", timestamp="time"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    asyncio.run(run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
