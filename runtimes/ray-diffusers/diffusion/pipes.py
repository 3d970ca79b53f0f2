"""One pipeline in its several forms: all share the same weights."""

from pathlib import Path
from typing import Any, Final

from diffusers import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    AutoPipelineForText2Image,
    ControlNetModel,
    FluxControlNetModel,
    QwenImageControlNetModel,
    SD3ControlNetModel,
)

from diffusion.fault import Fault, invalid
from diffusion.folder import named
from diffusion.job import Shape

_CONTROL_NETS: Final = {
    "ControlNetModel": ControlNetModel,
    "FluxControlNetModel": FluxControlNetModel,
    "QwenImageControlNetModel": QwenImageControlNetModel,
    "SD3ControlNetModel": SD3ControlNetModel,
}


class Pipes:
    """The forms of a pipeline, each made when it is first asked for."""

    def __init__(self, pipe: Any, control_nets: Path | None) -> None:
        """Begin with the form that the model comes in."""
        self.pipe = pipe
        self._control_nets = control_nets
        self._made: dict[tuple[Any, str | None], Any] = {}
        self._loaded: dict[str, Any] = {}

    def of(self, shape: Shape) -> Any:
        """Return the form for a shape. Raises Fault (invalid_input) where the model has none."""
        key = _task(shape), shape.control
        if key not in self._made:
            self._made[key] = self._make(*key)
        return self._made[key]

    def forget(self) -> None:
        """Make all forms anew: what the pipeline consists of has changed."""
        self._made.clear()

    def _make(self, task: Any, control: str | None) -> Any:
        if task is AutoPipelineForText2Image and control is None:
            return self.pipe
        more = {} if control is None else {"controlnet": self._control(control)}
        try:
            made = task.from_pipe(self.pipe, **more)
        except (ValueError, TypeError, AttributeError) as error:
            raise invalid(f"this model cannot do that: {error}") from error
        made.set_progress_bar_config(disable=True)
        return made

    def _control(self, name: str) -> Any:
        if name not in self._loaded:
            folder = named(self._control_nets, name, "ControlNet")
            self._loaded[name] = _load(folder, self.pipe)
        return self._loaded[name]


def _task(shape: Shape) -> Any:
    if shape.operation == "images.generate":
        return AutoPipelineForText2Image
    return AutoPipelineForInpainting if shape.masked else AutoPipelineForImage2Image


def _load(folder: Path, pipe: Any) -> Any:
    kind = ControlNetModel.load_config(folder, local_files_only=True).get("_class_name")
    if kind not in _CONTROL_NETS:
        raise Fault("internal", f"{kind} is no ControlNet that this engine knows")
    given = {"local_files_only": True, "use_safetensors": True, "dtype": pipe.dtype}
    return _CONTROL_NETS[kind].from_pretrained(folder, **given).to(pipe.device)
