"""Texts of the last rendering, so that only what has changed is made anew."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import orjson


def dumps(content: object) -> bytes:
    """Return content as JSON; equal contents give equal texts."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


@dataclass(slots=True)
class Memo:
    """What pure functions gave for equal arguments, in this rendering and in the one before.

    It never changes what is rendered, and holds no more than two renderings do.
    """

    _now: dict[Hashable, orjson.Fragment] = field(default_factory=dict)
    _last: dict[Hashable, orjson.Fragment] = field(default_factory=dict)

    def turn(self) -> None:
        """Begin a rendering, and forget what the last one has not used."""
        self._now, self._last = {}, self._now

    def text(self, make: Callable[..., Any], *of: Hashable, **more: Hashable) -> orjson.Fragment:
        """Return what `make` gives for these arguments as a piece of JSON."""
        key = (make, of, *more.items())
        found = self._now.get(key) or self._last.get(key)
        if found is None:
            found = orjson.Fragment(dumps(make(*of, **more)))
        self._now[key] = found
        return found
