"""Run the fake hub: ``python3 -m e2e.hub --root DIR --port P [--token T]``."""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from e2e.hub.server import Hub


def main() -> None:
    """Serve until the process is ended; each answer is one JSON object a line."""
    parser = argparse.ArgumentParser("e2e.hub", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of OWNER/NAME folders")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--token", help="the one token that may read gated and private models")
    parser.add_argument("--rate", type=int, help="bytes a second for each file; else unlimited")
    options = parser.parse_args()

    def slowed(_: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            if options.rate:
                time.sleep(len(chunk) / options.rate)

    Hub(
        root=options.root.resolve(),
        token=options.token,
        body=slowed,
        host=options.host,
        port=options.port,
        log=lambda served: print(json.dumps(asdict(served)), flush=True),
    ).serve_forever()


main()
