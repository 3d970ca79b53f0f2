"""What `maxReplicas` alone does: it serves in time, and replicas do not come and go."""

import pytest

from modelops.api.scaling import Scaling
from modelops.scaling.policy import Policy
from modelops.simulation.course import Course, Objective
from modelops.simulation.outcome import Outcome
from modelops.simulation.scalers import Keda, Modelops
from modelops.simulation.speed import SPEEDS
from modelops.simulation.trace import synthetic
from modelops.simulation.world import Setting


@pytest.mark.parametrize(
    ("engine", "rate", "seed"),
    [("l4-8b", 4.0, 21), ("a100-8b", 20.0, 22), ("h100x4-70b", 18.0, 23)],
)
def test_a_steady_load_is_served_in_time_without_flapping(
    engine: str, rate: float, seed: int
) -> None:
    """On engines bound by memory and by arithmetic, no target is needed for a steady load."""
    speed = SPEEDS[engine]
    policy = Policy.of(Scaling.model_validate({"maxReplicas": 40}), speed.most_sequences)
    trace = synthetic("constant", 900, rate, seed)
    course = Course.over(trace, Setting(speed=speed, seed=seed), Objective(), 300)
    ours = Outcome.of("ours", course.play(Modelops(policy)), course.objective)
    keda = Outcome.of("keda", course.play(Keda(1, 40, 5)), course.objective)
    assert ours.slo_attainment > 0.98
    assert ours.slo_attainment >= keda.slo_attainment
    assert ours.changes <= 12
