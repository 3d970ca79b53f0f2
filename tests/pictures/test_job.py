"""What a job may ask for."""

from typing import Any

import pytest
from diffusion.family import FLUX
from diffusion.fault import Fault
from diffusion.job import LONGEST_PROMPT, ONLY, SEEDS, parse
from hypothesis import given
from hypothesis import strategies as st

from modelops.gateway.jobapi.asked import asked
from pictures.asked import SCRATCH, defaults, job

IMAGE = {"image": "/scratch/a/in.png"}


def test_a_prompt_is_enough() -> None:
    """What a job does not say is what the model wants."""
    made = job(prompt="a cat")
    shape = made.shape
    assert (shape.width, shape.height, shape.steps, shape.guidance) == (512, 512, 30, 7.5)
    assert (len(made.seeds), made.format, shape.loras, shape.strength) == (1, "png", (), None)


def test_what_is_asked_for_is_taken() -> None:
    """Each field of the input counts."""
    asked: dict[str, Any] = {"width": 64, "height": 128, "steps": 4, "guidance": 2, "n": 2}
    made = job(prompt="a", seed=9, negativePrompt="b", scheduler="euler", format="webp", **asked)
    shape = made.shape
    assert (shape.width, shape.height, shape.steps, shape.guidance) == (64, 128, 4, 2.0)
    assert (made.seeds, made.format, shape.scheduler) == ((9, 10), "webp", "euler")
    assert shape.negative


def test_a_job_without_a_seed_makes_the_same_when_tried_again() -> None:
    """The seed follows from the job's id."""
    assert job(prompt="a").seeds == job(prompt="a").seeds


def test_seeds_begin_again_after_the_last() -> None:
    """The seeds of a job are whole numbers that a later job may ask for one by one."""
    assert job(prompt="a", seed=SEEDS - 1, n=2).seeds == (SEEDS - 1, 0)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"width": 1032}, "width must be a whole number from 8 to 1024"),
        ({"height": 4}, "height must be a whole number"),
        ({"width": 100}, "width must be a multiple of 8 for this model: 96 is near"),
        ({"steps": 101}, "steps must be a whole number from 1 to 100"),
        ({"steps": True}, "steps"),
        ({"steps": 4.0}, "steps"),
        ({"n": 5}, "n must be a whole number from 1 to 4"),
        ({"n": 0}, "n "),
        ({"seed": -1}, "seed"),
        ({"seed": SEEDS}, "seed"),
        ({"guidance": float("nan")}, "guidance"),
        ({"guidance": "7"}, "guidance"),
        ({"prompt": ""}, "prompt is missing"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": "a" * (LONGEST_PROMPT + 1)}, "prompt"),
        ({"format": "tiff"}, "format is one of png, jpeg, webp"),
        ({"colour": "red"}, "input.colour is not known"),
        ({"loras": "ink"}, "loras is a list"),
        ({"loras": [{"name": "a"}, {"name": "a"}]}, "twice"),
        ({"loras": [{"name": "a", "weight": 9}]}, "loras.weight"),
        ({"loras": [{"name": "a"}] * 9}, "at most 8"),
        ({"controlNet": "edges"}, "needs the picture control"),
    ],
)
def test_what_a_model_cannot_do_is_refused(asked: dict[str, Any], said: str) -> None:
    """A refusal is invalid_input, names the field and is not worth another try."""
    with pytest.raises(Fault) as refused:
        job(**{"prompt": "a cat", **asked})
    assert (refused.value.code, refused.value.retriable) == ("invalid_input", False)
    assert said in refused.value.message


def test_pictures_are_edited_with_a_strength() -> None:
    """At least one step is taken, however weak it is."""
    weak = job("images.edit", IMAGE, prompt="a", strength=0, steps=7).shape
    assert weak.strength is not None
    assert 1 <= int(weak.strength * 7) < 2
    assert job("images.vary", IMAGE).shape.strength == 0.6
    assert job("images.edit", IMAGE, prompt="a", strength=1).shape.strength == 1


def test_an_edit_needs_a_picture() -> None:
    """Without one it is refused; with a mask only what is masked is painted."""
    with pytest.raises(Fault, match="needs a picture"):
        job("images.edit", prompt="a")
    mask = {"mask": "/scratch/a/mask.png"}
    assert job("images.edit", IMAGE | mask, prompt="a").shape.masked


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/scratch", "/scratch/../etc/passwd", "in.png", "", "/scratchy/a"]
)
def test_files_lie_below_the_scratch_folder(path: str) -> None:
    """No job reads or writes anything else."""
    with pytest.raises(Fault, match="files lie below"):
        job("images.vary", {"image": path})
    body = {"operation": "images.generate", "input": {"prompt": "a"}, "output": path}
    with pytest.raises(Fault, match="files lie below"):
        parse(body, defaults(), SCRATCH)


def test_a_model_without_negative_prompts_says_so() -> None:
    """A negative prompt is refused where it would be left out."""
    with pytest.raises(Fault, match="no negativePrompt"):
        job(of=defaults(FLUX), prompt="a", negativePrompt="b")


def test_the_order_of_adapters_does_not_matter() -> None:
    """Jobs with the same adapters go together, however they list them."""
    one = job(prompt="a", loras=[{"name": "ink"}, {"name": "gold"}])
    other = job(prompt="b", loras=[{"name": "gold", "weight": 1}, {"name": "ink", "weight": 1.0}])
    assert one.shape == other.shape


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
)
fields = st.sampled_from(
    ["prompt", "width", "height", "steps", "guidance", "seed", "n", "loras", "strength", "format"]
)


@given(json, st.dictionaries(fields, json), json)
def test_whatever_comes_is_a_job_or_invalid_input(body: Any, asked: Any, files: Any) -> None:
    """No body makes any other error."""
    bodies = [
        body,
        {"id": "a", "operation": "images.generate", "input": asked, "output": "/scratch/a"},
        {"operation": "images.edit", "input": asked, "files": files, "output": "/scratch/a"},
    ]
    for each in bodies:
        try:
            made = parse(each, defaults(), SCRATCH)
        except Fault as fault:
            steps, code = 1, fault.code
        else:
            steps, code = made.shape.steps, "invalid_input"
        assert (1 <= steps <= 100, code) == (True, "invalid_input")


def test_what_the_job_api_passes_on_is_understood() -> None:
    """Each field that the gateway's API has reaches the engine under the name that it knows."""
    said = {
        "prompt": "a",
        "n": 2,
        "size": "64x64",
        "negative_prompt": "b",
        "steps": 4,
        "guidance": 2.0,
        "strength": 0.5,
        "seed": 3,
        "scheduler": "dpmpp-2m-karras",
        "loras": [{"name": "ink", "weight": 0.5}],
    }
    passed = asked("/v1/images/generations", said, {})
    made = job(passed.operation, **passed.input)
    assert (made.seeds, made.shape.width, made.shape.steps) == ((3, 4), 64, 4)
    assert made.shape.loras[0].weight == 0.5
    control = {"control": "/scratch/a/control.png"}
    assert job(passed.operation, control, **passed.input).shape.control == ONLY
