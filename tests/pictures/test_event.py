"""What the engine says is what the worker understands."""

from diffusion import event
from diffusion.fault import Fault, invalid

from modelops.jobs import engine


def test_the_worker_reads_what_is_said() -> None:
    """Each event means the same on both sides."""
    told = event.output(0, "/scratch/a", "image/png", seed=1, width=8, height=9, flagged=True)
    said = [event.progress("denoise", 40), told, event.done(1.25)]
    assert [engine.event(event.line(each)) for each in said] == [
        engine.Progress("denoise", 40),
        engine.Output(0, "/scratch/a", "image/png", 1, 8, 9, flagged=True),
        engine.Done(1.25),
    ]
    fault = event.error(Fault("out_of_memory", "too large", retriable=True))
    assert engine.event(event.line(fault)) == engine.Failed(
        "out_of_memory", "too large", retriable=True
    )


def test_each_event_is_a_line() -> None:
    """Whatever a text holds, a line ends only at its end."""
    said = event.line(event.error(invalid("two\nlines")))
    assert said.count(b"\n") == 1
    assert said.endswith(b"\n")


def test_only_the_last_event_ends_an_answer() -> None:
    """After done or error nothing comes."""
    assert event.last(event.done(1.0))
    assert event.last(event.error(invalid("a")))
    assert not event.last(event.progress("denoise", 1))
