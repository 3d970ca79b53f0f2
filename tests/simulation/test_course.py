"""Laws of what all who scale are judged by."""

import json
from dataclasses import replace

import pytest

from modelops.scaling.policy import Policy, Targets
from modelops.simulation.course import Course, Objective
from modelops.simulation.outcome import Outcome
from modelops.simulation.page import page
from modelops.simulation.plot import curves, picture
from modelops.simulation.scalers import Fixed, Modelops
from modelops.simulation.trace import synthetic
from modelops.simulation.world import Setting


@pytest.fixture(scope="module")
def course() -> Course:
    """Five minutes with a burst."""
    trace = synthetic("spike", 300, 3.0, 4)
    return Course.over(trace, Setting(cold_start_seconds=20), Objective(), 60)


def test_the_warm_up_is_not_judged(course: Course) -> None:
    """Requests and replicas of the warm-up do not count."""
    played = course.play(Fixed(6), 6)
    outcome = Outcome.of("six", played, course.objective)
    assert outcome.requests == len(course.trace)
    assert outcome.replica_hours == pytest.approx(6 * course.seconds / 3600, rel=1e-3)
    assert (outcome.most_replicas, outcome.changes) == (6, 0)


def test_it_begins_with_enough(course: Course) -> None:
    """The replicas at first do for the warm-up, and one less would not."""
    first = tuple(request for request in course.trace if request.at < 60)
    shares = [
        replace(course, trace=first, seconds=60, warm_seconds=0).play(Fixed(n), n).attainment(3.0)
        for n in (course.setting.replicas, course.setting.replicas - 1)
    ]
    assert shares[0] >= 0.99
    assert course.setting.replicas == 1 or shares[1] < 0.99


def test_the_oracle_is_cheaper_than_any_fixed_number(course: Course) -> None:
    """The oracle meets the objective at no more cost than the best fixed number does."""
    quick, thorough = course.oracle(0), course.oracle(60)
    assert quick is not None
    assert thorough is not None
    numbers = (course.play(Fixed(n), n) for n in range(1, 30))
    fixed = next(played for played in numbers if played.attainment(3.0) >= 0.99)
    assert thorough.attainment(3.0) >= 0.99
    assert thorough.replica_hours <= quick.replica_hours < fixed.replica_hours


def test_no_plan_meets_what_cannot_be(course: Course) -> None:
    """Where no number of replicas meets the objective there is no oracle."""
    assert replace(course, objective=Objective(0.01)).oracle(0) is None


def test_pictures_and_pages_are_made(course: Course) -> None:
    """A picture is a PNG that is the same for the same runs; a page holds all by itself."""
    runs = {
        "fixed & co": course.play(Fixed(6), 6),
        "ours": course.play(Modelops(Policy(1, 20, Targets(concurrency=16)))),
    }
    image = picture(course, runs, "a trace")
    assert image.startswith(b"\x89PNG")
    assert image == picture(course, runs, "a trace")
    outcomes = [Outcome.of(name, one, course.objective) for name, one in runs.items()]
    text = page("<trace>", outcomes, image, {"a": "<b>"}, 0.99)
    assert "<trace>" not in text
    assert "fixed &amp; co" in text
    assert "http" not in text
    json.dumps([outcome.document for outcome in outcomes])


def test_curves_are_made() -> None:
    """A curve of attainment over hours is a PNG, for perfect attainment too."""
    points = {"ours": [(3.0, 1.0), (2.0, 0.9)], "keda": [(5.0, 0.8)]}
    assert curves({"a": points, "b": points}, 0.99).startswith(b"\x89PNG")
