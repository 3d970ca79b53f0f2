"""The pipeline itself: loads it and makes pictures, one batch at a time."""

import gc
import inspect
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image

from diffusion import picture, safety
from diffusion.adapters import Adapters
from diffusion.defaults import Defaults
from diffusion.family import CHECKER, INDEX, Configs, Family, family
from diffusion.fault import Fault
from diffusion.folder import named
from diffusion.job import Job, Shape, parse
from diffusion.loading import load
from diffusion.memory import bound
from diffusion.options import Options
from diffusion.pipes import Pipes
from diffusion.schedulers import Schedulers

CONFIGS: Final = (
    INDEX,
    "scheduler/scheduler_config.json",
    "transformer/config.json",
    "unet/config.json",
    "vae/config.json",
)
_REHEARSED: Final = 256
"""Pixels of a side of the first picture, or less where the model makes smaller ones."""

Tell = Callable[[float], None]
"""Told which part of the steps is done, from 0 to 1; what it raises breaks off."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a job, by its place in it."""

    job: Job
    index: int

    @property
    def seed(self) -> int:
        """The seed that makes this picture by itself."""
        return self.job.seeds[self.index]


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture, and whether it was found not to be for everyone."""

    image: Image.Image
    flagged: bool


@dataclass(slots=True)
class Studio:
    """A loaded pipeline. One thread at a time may use it."""

    options: Options
    defaults: Defaults
    pipes: Pipes
    schedulers: Schedulers
    adapters: Adapters
    judge: safety.Judge | None
    pace: float = 0.0
    """Seconds of late for a megapixel and a step; 0 before the first picture."""

    @classmethod
    def open(cls, options: Options) -> "Studio":
        """Load the model; raises ValueError or OSError where that cannot be."""
        if options.device == "cpu":
            bound()
        torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
        torch.set_grad_enabled(False)
        configs = read_configs(options.model)
        known = family(configs)
        defaults = Defaults.of(options, known)
        judge = _judge(options)
        pipe = load(options, known, configs)
        return cls(
            options=options,
            defaults=defaults,
            pipes=Pipes(pipe, options.control_nets),
            schedulers=Schedulers(pipe.scheduler),
            adapters=Adapters(pipe, options),
            judge=judge,
        )

    def rehearse(self) -> None:
        """Make a small picture, to prove that pictures can be made."""
        known, scratch = self.defaults.family, str(self.options.scratch)
        side = min(_REHEARSED, self.defaults.width, self.defaults.height)
        side = max(side // known.multiple, 1) * known.multiple
        asked = {"prompt": "a red apple", "width": side, "height": side, "steps": 2}
        body = {"id": "rehearsal", "operation": "images.generate", "input": asked}
        job = self.accept({**body, "output": f"{scratch}/rehearsal"})
        self.paint([Frame(job, 0)], lambda _: None)
        self.pace = 0.0  # the first picture is far slower than the next
        self.paint([Frame(job, 0)], lambda _: None)

    def accept(self, body: object) -> Job:
        """Return the job that is asked for, before any work on it.

        Raises Fault (invalid_input) when this model cannot do it.
        """
        job = parse(body, self.defaults, str(self.options.scratch))
        self.schedulers.check(job.shape.scheduler)
        self.adapters.check(job.shape)
        if job.shape.control is not None:
            named(self.options.control_nets, job.shape.control, "ControlNet")
        return job

    def paint(self, frames: Sequence[Frame], tell: Tell) -> list[Shown]:
        """Make pictures of one shape at once.

        Raises Fault: invalid_input for a file that cannot be read or an adapter that does not fit,
        out_of_memory. What ``tell`` raises passes through.
        """
        shape = frames[0].job.shape
        files = [_files(frame.job) for frame in frames]
        if self.adapters.put_on(shape):
            self.pipes.forget()
        pipe = self.pipes.of(shape)
        pipe.scheduler = self.schedulers.of(shape.scheduler)
        began = time.monotonic()
        images = _call(pipe, self._arguments(pipe, frames, files, tell))
        self._learn(shape, len(frames), time.monotonic() - began)
        flags = self.judge(images) if self.judge else [False] * len(images)
        return [Shown(image, flag) for image, flag in zip(images, flags, strict=True)]

    def _arguments(
        self,
        pipe: Any,
        frames: Sequence[Frame],
        files: Sequence[Mapping[str, Image.Image]],
        tell: Tell,
    ) -> dict[str, Any]:
        """Return what the pipeline is called with: of what there is, what it takes."""
        shape, known = frames[0].job.shape, self.defaults.family
        taken = inspect.signature(pipe.__call__).parameters
        wanted = {
            "prompt": [frame.job.prompt for frame in frames],
            "negative_prompt": _negatives(frames, known),
            "width": shape.width,
            "height": shape.height,
            "num_inference_steps": shape.steps,
            known.guided_by: shape.guidance,
            "strength": shape.strength,
            "generator": [torch.Generator("cpu").manual_seed(frame.seed) for frame in frames],
            "controlnet_conditioning_scale": shape.control_scale if shape.control else None,
            "callback_on_step_end": _stepwise(tell),
            **_pictures(files, "control_image" if "control_image" in taken else "image"),
        }
        return {n: value for n, value in wanted.items() if value is not None and n in taken}

    def _learn(self, shape: Shape, count: int, seconds: float) -> None:
        now = seconds / (shape.megapixel_steps * count * (shape.strength or 1.0))
        self.pace = now if not self.pace else 0.8 * self.pace + 0.2 * now


def read_configs(folder: Path) -> Configs:
    """Return the JSON documents that tell what a pipeline is, as many as there are."""
    found = {name: folder / name for name in CONFIGS if (folder / name).is_file()}
    return {name: json.loads(path.read_text()) for name, path in found.items()}


def _judge(options: Options) -> safety.Judge | None:
    if options.safety == "Off":
        return None
    folder = options.model / CHECKER
    if not folder.is_dir():
        raise ValueError("the model has no safety checker of its own")
    return safety.judge(folder, options.model / "feature_extractor", options.device)


def _call(pipe: Any, arguments: Mapping[str, Any]) -> list[Image.Image]:
    try:
        return list(pipe(**arguments).images)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _lacks_memory(error):
            raise
    finally:
        pipe.maybe_free_model_hooks()
    gc.collect()  # outside of the handler: its traceback held what was made so far
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    told = "there is not enough memory for it: ask for a smaller picture"
    raise Fault("out_of_memory", told)


def _lacks_memory(error: Exception) -> bool:
    """Tell whether there was no memory; PyTorch says so on a CPU in words only."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)


def _files(job: Job) -> dict[str, Image.Image]:
    size = job.shape.width, job.shape.height
    read = {role: picture.read(path) for role, path in job.files.items()}
    return {
        role: picture.mask(image, *size) if role == "mask" else picture.colours(image, *size)
        for role, image in read.items()
    }


def _pictures(files: Sequence[Mapping[str, Image.Image]], control: str) -> dict[str, Any]:
    """Return the pictures that a pipeline is given, by its own names for them."""
    roles = {"image": "image", "mask": "mask_image", "control": control}
    given = {
        name: [each[role] for each in files] for role, name in roles.items() if role in files[0]
    }
    reference = files[0].get("reference")
    return given | ({"ip_adapter_image": reference} if reference else {})


def _negatives(frames: Sequence[Frame], known: Family) -> list[str] | None:
    """Return what is not to be shown; only some pipelines mean the same by nothing and by none."""
    if known.guided_by != "guidance_scale":
        return [frame.job.negative_prompt or " " for frame in frames]
    given = frames[0].job.shape.negative
    return [frame.job.negative_prompt for frame in frames] if given else None


def _stepwise(tell: Tell) -> Callable[..., dict[str, Any]]:
    def stepped(pipe: Any, step: int, _: Any, kept: dict[str, Any]) -> dict[str, Any]:
        tell(min(1.0, (step + 1) / max(1, pipe.num_timesteps)))
        return kept

    return stepped
