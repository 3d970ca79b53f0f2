"""The operator's composition root: settings, catalogue, logs, then run."""

import asyncio
import sys

from pydantic import ValidationError

from modelops.cluster import RECURSION_LIMIT
from modelops.controller.operator import operate
from modelops.controller.settings import PREFIX, Settings
from modelops.logs import configure
from modelops.setting import complaint
from modelops.sync.catalogue import Catalogue


def main() -> int:
    """Run the operator; the exit code is 2 for wrong settings, 1 when it cannot go on."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(complaint(error, PREFIX, "operator") + "\n")
        return 2
    sys.setrecursionlimit(RECURSION_LIMIT)
    configure(settings.log_level, settings.log_format, "kopf")
    return asyncio.run(operate(settings, Catalogue(platform=settings.platform)))


if __name__ == "__main__":
    sys.exit(main())
