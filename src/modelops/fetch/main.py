"""The command ``modelops-fetch``, an init container's whole life."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from modelops.fetch.events import Events
from modelops.fetch.order import Order
from modelops.fetch.work import work
from modelops.registry.failure import Failure
from modelops.registry.selection import Formats, RemoteCode

_STOPPED = 128 + signal.SIGTERM


def main() -> None:
    """Fetch as the command line says; exit with 0, or 1 and the reason as the last words."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(_STOPPED))
    logging.basicConfig(level=logging.ERROR)
    code = run(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Fetch as the arguments say and return the exit code."""
    options = _parser().parse_args(arguments)
    events = Events(sys.stdout, options.last_words)
    try:
        events.end(work(_order(options), events))
    except Failure as failure:
        events.end({"reason": failure.reason, "message": failure.message, "action": failure.action})
        return 1
    return 0


def _order(options: argparse.Namespace) -> Order:
    return Order(
        uri=options.uri,
        link=options.link,
        cache=options.cache,
        claim=options.source,
        revision=options.revision,
        endpoint=options.endpoint,
        formats=options.formats,
        remote_code=options.remote_code,
        pin=options.pin,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("modelops-fetch", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--uri", required=True, help="hf://, s3:// or pvc:// URI of the model")
    add("--revision", help="branch, tag or commit of an hf:// source")
    add("--endpoint", help="URL of the hub or S3 service")
    add("--cache", type=Path, help="folder that keeps what is fetched")
    add("--source", type=Path, help="where the claim of a pvc:// source is mounted")
    add("--link", type=Path, required=True, help="path to make a link to the weights")
    add("--formats", choices=get_args(Formats), default="SafetensorsOnly", help="which weights")
    add("--remote-code", choices=get_args(RemoteCode), default="Deny", help="Python files as well?")
    add("--pin", help="name under which the first resolution is kept")
    add(
        "--last-words",
        type=Path,
        default=Path("/dev/termination-log"),
        help="file for the last event, if it exists",
    )
    return parser
