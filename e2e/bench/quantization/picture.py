"""The figures as a picture: what an artifact loses over what it weighs."""

import io
import math
from collections.abc import Mapping
from typing import Any, Final

from matplotlib.figure import Figure

TITLES: Final = {"tiny": "tiny, random", "small": "small, taught"}
COLOUR: Final = "#2f6fde"
FINEST: Final = 1e-6
NEAR: Final = 5
"""So fine is the grid on which points are one: five to all of the width, five to a decade."""


def picture(figures: Mapping[str, Any]) -> bytes:
    """Return a PNG with a panel for each model."""
    figure = Figure(figsize=(5 * len(figures), 4), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(figures), squeeze=False)[0]
    for panel, (name, found) in zip(panels, figures.items(), strict=True):
        _panel(panel, found["builds"])
        panel.set_title(f"{TITLES[name]}", loc="left", fontsize=10)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _panel(panel: Any, builds: Mapping[str, Any]) -> None:
    for (size, kl), names in together(builds).items():
        panel.plot(size, kl, "o", color=COLOUR, ms=5)
        told = ",\n".join(names)
        panel.annotate(told, (size, kl), (6, -3), textcoords="offset points", fontsize=7)
    panel.set(yscale="log", xlim=(0, 1))
    panel.set_xlabel("bytes of the weights over the base's", fontsize=9)
    panel.set_ylabel("mean KL, nats a token", fontsize=9)
    panel.grid(color="#e6e6e6", lw=0.7)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=8)


def together(builds: Mapping[str, Any]) -> dict[tuple[float, float], list[str]]:
    """Return where points are, each with all schemes that nobody could tell apart there."""
    found: dict[tuple[int, int], list[tuple[str, float, float]]] = {}
    for scheme, said in builds.items():
        size = said["bytesAfter"] / said["bytesBefore"]
        kl = max(said["quality"].get("kl") or FINEST, FINEST)
        place = round(size * NEAR), round(math.log10(kl) * NEAR)
        method, _, name = scheme.partition(":")
        told = name if name.startswith(method) else f"{method} {name}"
        found.setdefault(place, []).append((told, size, kl))
    return {(same[0][1], same[0][2]): [name for name, *_ in same] for same in found.values()}
