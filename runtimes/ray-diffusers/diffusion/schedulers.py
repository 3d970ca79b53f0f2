"""The ways from noise to a picture, by the names that people know them by."""

from collections.abc import Mapping
from typing import Any, Final

import diffusers

from diffusion.fault import invalid

_KNOWN: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "dpmpp-2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpmpp-2m-karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
    ),
    "dpmpp-2m-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "tcd": ("TCDScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
_FLOWS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "flow-euler": ("FlowMatchEulerDiscreteScheduler", {}),
}
"""Of those that follow a flow most pipelines take no other."""


class Schedulers:
    """What a model's own scheduler can be replaced with."""

    def __init__(self, own: Any) -> None:
        """Begin with the scheduler that the model comes with."""
        self._own = own
        flows = type(own).__name__.startswith("FlowMatch")
        self._offered = _FLOWS if flows else _KNOWN

    @property
    def names(self) -> list[str]:
        """What there is to choose from."""
        return sorted(self._offered)

    def check(self, name: str | None) -> None:
        """Raise Fault (invalid_input) for a name that this model has no scheduler for."""
        if name is not None and name not in self._offered:
            raise invalid(f"scheduler is one of {', '.join(self.names)} for this model")

    def of(self, name: str | None) -> Any:
        """Return a new scheduler: one that was used remembers its last picture."""
        if name is None:
            return type(self._own).from_config(self._own.config)
        kind, changes = self._offered[name]
        return getattr(diffusers, kind).from_config(self._own.config, **changes)
