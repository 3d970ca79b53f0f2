"""The operator with a kind and a runtime that only tests know: run as a program."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from modelops.controller.operator import operate
from modelops.controller.settings import Settings
from modelops.logs import configure
from toy.catalogue import toy_catalogue

if __name__ == "__main__":
    settings = Settings()
    configure(settings.log_level, settings.log_format, "kopf")
    sys.exit(asyncio.run(operate(settings, toy_catalogue(settings.platform))))
