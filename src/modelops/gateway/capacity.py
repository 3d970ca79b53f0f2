"""How many requests, or jobs, a replica can work on at a time, as a model's object says (pure)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelops.api.serving import ServingKind
from modelops.runtimes.engines import RUNTIMES

_OPTION: Final = re.compile(r"--max[-_]num[-_]seqs=([1-9][0-9]{0,8})")


def capacity(kind: ServingKind, manifest: Mapping[str, Any]) -> int | None:
    """Return what one replica of a model works on at a time; None when nothing says so."""
    if kind.jobs:
        return _fed(kind, manifest)
    return said((manifest["spec"].get("runtime") or {}).get("args") or ())


def said(args: Sequence[str]) -> int | None:
    """Return what the arguments of vLLM allow one replica; None when they say nothing."""
    found = [match[1] for match in map(_OPTION.fullmatch, args) if match]
    return int(found[-1]) if found else None


def _fed(kind: ServingKind, manifest: Mapping[str, Any]) -> int | None:
    """Return how many jobs the worker beside an engine feeds it."""
    feeds = next((r.jobs for r in RUNTIMES.values() if r.jobs and kind.name in r.kinds), None)
    try:
        return feeds(kind.parse(manifest)) if feeds else None
    except ValueError:
        return None
