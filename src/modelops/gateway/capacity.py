"""How many requests a replica can work on at a time, as its engine's arguments say (pure)."""

import re
from collections.abc import Sequence
from typing import Final

_OPTION: Final = re.compile(r"--max[-_]num[-_]seqs=([1-9][0-9]{0,8})")


def said(args: Sequence[str]) -> int | None:
    """Return what the arguments of vLLM allow one replica; None when they say nothing."""
    found = [match[1] for match in map(_OPTION.fullmatch, args) if match]
    return int(found[-1]) if found else None
