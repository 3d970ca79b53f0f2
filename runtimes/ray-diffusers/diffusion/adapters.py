"""What is put on a model for some pictures and taken off for others: LoRA and IP-Adapter."""

import hashlib
from typing import Any, Final

from diffusion.fault import Fault, invalid
from diffusion.folder import named, weights
from diffusion.job import Shape
from diffusion.options import Options

KEPT: Final = 16
"""Adapters that stay in memory; the one that was not used for longest goes first."""


class Adapters:
    """The adapters of one pipeline."""

    def __init__(self, pipe: Any, options: Options) -> None:
        """Begin with none."""
        self._pipe = pipe
        self._folder = options.loras
        self._reference = options.ip_adapter
        self._loaded: dict[str, str] = {}
        self._looks = False

    def check(self, shape: Shape) -> None:
        """Raise Fault (invalid_input) for an adapter that is not there."""
        if shape.loras and not hasattr(self._pipe, "load_lora_weights"):
            raise invalid("this model takes no loras: leave them out")
        for lora in shape.loras:
            named(self._folder, lora.name, "LoRA")
        if shape.reference_scale is not None and self._reference is None:
            raise invalid("this model has no IP-Adapter: leave the picture reference out")

    def put_on(self, shape: Shape) -> bool:
        """Have the model wear what a shape wants and nothing else.

        Tells whether the pipeline has other parts now. Raises Fault (invalid_input) for an adapter
        that does not fit.
        """
        self._wear(shape)
        return self._look(shape.reference_scale)

    def _wear(self, shape: Shape) -> None:
        for lora in shape.loras:
            self._load(lora.name)
        worn = [self._loaded[lora.name] for lora in shape.loras]
        if worn:
            self._pipe.enable_lora()
            self._pipe.set_adapters(worn, [lora.weight for lora in shape.loras])
        elif self._loaded:
            self._pipe.disable_lora()

    def _load(self, name: str) -> None:
        if name in self._loaded:
            self._loaded[name] = self._loaded.pop(name)  # now the last to go
            return
        folder = named(self._folder, name, "LoRA")
        key = "l" + hashlib.sha256(name.encode()).hexdigest()[:12]
        try:
            self._pipe.load_lora_weights(folder, weight_name=weights(folder), adapter_name=key)
        except (ValueError, RuntimeError, KeyError, OSError) as error:
            raise invalid(f"the LoRA {name!r} does not fit this model: {error!s:.300}") from error
        self._loaded[name] = key
        self._forget()

    def _forget(self) -> None:
        while len(self._loaded) > KEPT:
            oldest = next(iter(self._loaded))
            self._pipe.delete_adapters(self._loaded.pop(oldest))

    def _look(self, scale: float | None) -> bool:
        """Load the IP-Adapter for pictures that have a reference only: others cannot do with it."""
        changed = self._looks is not (scale is not None)
        if changed and scale is None:
            self._pipe.unload_ip_adapter()
        elif changed:
            self._see()
        self._looks = scale is not None
        if scale is not None:
            self._pipe.set_ip_adapter_scale(scale)
        return changed

    def _see(self) -> None:
        folder = self._reference
        assert folder is not None, "a reference was checked before"
        try:
            self._pipe.load_ip_adapter(folder, subfolder="", weight_name=weights(folder))
        except (ValueError, RuntimeError, KeyError, OSError) as error:
            told = f"the IP-Adapter does not fit this model: {error!s:.300}"
            raise Fault("internal", told) from error
