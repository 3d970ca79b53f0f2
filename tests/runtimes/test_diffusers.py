"""How diffusers is run, and what its last words mean."""

import re
from typing import Any

import pytest
from diffusion.options import Options, parse

from modelops.api.kinds.diffusionmodel import DiffusionModelSpec
from modelops.runtimes.engines.diffusers import HINTS, RUNTIME, command, jobs
from modelops.runtimes.runtime import Device, Workload

WORDS = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.": (
        "AcceleratorOutOfMemory"
    ),
    "RuntimeError: [enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 9 bytes.": "OutOfMemory",
    "ValueError: the model has no safety checker of its own": "SafetyCheckerMissing",
    "ValueError: compile needs a GPU": "NeedsAccelerator",
    "ValueError: the default width 512 is more than the limit 256": "ImageDefaults",
    "ValueError: the default width and height must be multiples of 16 for this model": (
        "ImageDefaults"
    ),
    "ValueError: there is no model_index.json that names a pipeline: it is no diffusers model": (
        "ModelUnsupported"
    ),
    "AttributeError: module diffusers has no attribute NewPipeline": "ModelUnsupported",
    "FileNotFoundError: No such file or directory: /weights/model/vae/x.safetensors": (
        "WeightsUnreadable"
    ),
    "Exception: The current node timed out during startup. This could happen because": (
        "EngineStarting"
    ),
}


def spec(**image: Any) -> DiffusionModelSpec:
    """Return a spec with that image block."""
    return DiffusionModelSpec.model_validate({"model": {"uri": "pvc://a/b"}, "image": image})


def options(device: Device = "cpu", **image: Any) -> Options:
    """Return what the engine itself understands of the command line for a spec."""
    accelerators = 0 if device == "cpu" else 1
    workload = Workload(spec(**image), "dream", "/weights/model", device, accelerators)
    args = command(workload).args
    assert args[:3] == ("python3", "-m", "diffusion")
    return parse(args[3:])


def test_the_engine_understands_its_command_line() -> None:
    """Each field of the spec reaches the engine as what it means."""
    told = options(
        "gpu",
        defaults={"width": 64, "steps": 4, "guidanceTenths": 0, "scheduler": "dpmpp-2m-karras"},
        limits={"maxWidth": 128, "maxHeight": 256, "maxSteps": 9, "maxImages": 2},
        safety="Flag",
        batching={"maxImages": 8, "waitMilliseconds": 20},
        memory={"offload": "Component", "tiling": "On"},
        compilation="On",
        quantization="Int8WeightOnly",
    )
    assert (told.width, told.height, told.steps, told.guidance) == (64, None, 4, 0.0)
    assert (told.max_width, told.max_height, told.max_steps, told.max_images) == (128, 256, 9, 2)
    assert (told.scheduler, told.safety, told.device) == ("dpmpp-2m-karras", "Flag", "cuda")
    assert (told.batch, told.batch_wait_milliseconds) == (8, 20)
    assert (told.offload, told.tile, told.compile) == ("Component", True, True)
    assert told.quantization == "Int8WeightOnly"


def test_what_a_spec_does_not_say_is_left_to_the_model() -> None:
    """The smallest spec blocks what is not safe and sets no size."""
    told = options()
    assert (told.width, told.steps, told.guidance, told.max_width) == (None, None, None, None)
    assert (told.safety, told.device, told.served_model_name) == ("Block", "cpu", "dream")


def test_a_replica_takes_as_many_jobs_as_go_together() -> None:
    """More would only wait in the replica, where no other can take them."""
    assert jobs(spec(batching={"maxImages": 7})) == 7


def test_all_that_is_set_is_reserved() -> None:
    """No argument of the user's comes twice."""
    workload = Workload(spec(), "dream", "/weights/model", "cpu", 0)
    set_ = {arg.split("=")[0] for arg in command(workload).args if arg.startswith("--")}
    assert set_ <= set(RUNTIME.reserved_args)


@pytest.mark.parametrize(("words", "reason"), WORDS.items())
def test_last_words_are_understood(words: str, reason: str) -> None:
    """The first hint that fits gives the reason."""
    found = next(hint.reason for hint in HINTS if re.search(hint.pattern, words))
    assert found == reason
