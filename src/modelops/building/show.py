"""Prints an artifact's report as text: `python3 -m modelops.building.show FOLDER`, in a pod.

A log is what comes back of a pod, and only its end: the page is packed to a tenth, and its length
and sum are told, so that half a page is never taken for a whole one.
"""

import base64
import gzip
import hashlib
import json
import sys
from pathlib import Path

from modelops.building.report import PAGE


class Unreadable(ValueError):
    """What came back is no whole report."""


def packed(page: bytes) -> str:
    """Return a page as one line of text."""
    body = base64.b64encode(gzip.compress(page, mtime=0)).decode()
    return json.dumps({"sha256": hashlib.sha256(page).hexdigest(), "page": body})


def unpacked(line: str) -> bytes:
    """Return the page that a line holds. Raises Unreadable."""
    try:
        told = json.loads(line)
        page = gzip.decompress(base64.b64decode(told["page"]))
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise Unreadable(f"no report came back: {line[:200]}") from error
    if hashlib.sha256(page).hexdigest() != told.get("sha256"):
        raise Unreadable("the report that came back is not whole")
    return page


def command(folder: str) -> tuple[str, ...]:
    """Return the command line that prints the report in a folder."""
    return ("python3", "-m", "modelops.building.show", folder)


def main() -> None:
    """Print the report of the folder that the command line names."""
    try:
        page = (Path(sys.argv[1]) / PAGE).read_bytes()
    except OSError as error:
        sys.exit(f"the artifact has no report that can be read: {error}")
    sys.stdout.write(packed(page) + "\n")


if __name__ == "__main__":
    main()
