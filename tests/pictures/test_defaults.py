"""What the platform's options make of a model."""

from pathlib import Path

import pytest
from diffusion.options import Options, parse

from pictures.asked import defaults


def test_options_come_before_the_family() -> None:
    """What is given on the command line counts, a guidance of zero too."""
    chosen = defaults(width=256, height=320, steps=8, guidance=0.0, scheduler="euler")
    assert (chosen.width, chosen.height, chosen.steps, chosen.guidance) == (256, 320, 8, 0.0)
    assert chosen.scheduler == "euler"


def test_limits_are_twice_the_size_by_default() -> None:
    """And never less than what is taken by default; lower limits lower the defaults."""
    assert defaults().limits.width == 1024
    assert defaults(width=2048).limits.width == 2048
    assert defaults(max_width=256, max_steps=10).width == 256
    assert defaults(max_width=256, max_steps=10).steps == 10


@pytest.mark.parametrize(
    "options", [{"width": 512, "max_width": 256}, {"steps": 9, "max_steps": 8}, {"width": 100}]
)
def test_defaults_that_no_job_could_ask_for_are_refused(options: dict[str, int]) -> None:
    """The engine does not start with them."""
    with pytest.raises(ValueError, match="default"):
        defaults(**options)


def test_the_command_line_is_the_options() -> None:
    """Each flag is a field; what is not given is the default."""
    given = parse(["--model=/weights/model", "--guidance=0", "--batch=8", "--compile"])
    assert given == Options(model=Path("/weights/model"), guidance=0.0, batch=8, compile=True)


@pytest.mark.parametrize("line", [[], ["--model=/a", "--safety=Maybe"], ["--model=/a", "--bat=1"]])
def test_what_is_no_option_ends_the_process(line: list[str]) -> None:
    """So a mistake is seen at once, and a shortened flag is one."""
    with pytest.raises(SystemExit):
        parse(line)
