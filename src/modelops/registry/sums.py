"""The SHA256SUMS file that an author puts beside weights."""

import re
from typing import Final

SUMS: Final = "SHA256SUMS"
LONGEST_SUMS: Final = 4 * 1024 * 1024
"""Bytes of the largest SHA256SUMS file that is read."""

_LINE: Final = re.compile(r"(?P<sum>[0-9a-fA-F]{64}) [ *](?:\./)?(?P<path>.+)")


def read_sums(text: str) -> dict[str, str]:
    """Return checksum (KIND:VALUE) by path, from what ``sha256sum`` prints."""
    lines = (_LINE.fullmatch(line.rstrip("\r")) for line in text.split("\n"))
    return {line["path"]: f"sha256:{line['sum'].lower()}" for line in lines if line}
