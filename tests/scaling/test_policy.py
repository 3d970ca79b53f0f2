"""What a model's `spec.scaling` means to the decision."""

from modelops.api.scaling import Scaling
from modelops.scaling.policy import Pace, Policy, Targets
from modelops.scaling.schedule import Schedule


def test_every_field_is_taken_over() -> None:
    """The policy has what the spec says, in its own words."""
    scaling = Scaling.model_validate(
        {
            "minReplicas": 1,
            "maxReplicas": 8,
            "targets": {
                "queueDepth": 2,
                "concurrency": 16,
                "kvCachePercent": 70,
                "timeToFirstTokenMilliseconds": 900,
            },
            "idleAfterSeconds": 60,
            "behavior": {
                "scaleUp": {"maxReplicasPerMinute": 4},
                "scaleDown": {"stabilizationWindowSeconds": 30},
            },
            "schedules": [
                {"name": "day", "start": "0 8 * * mon-fri", "end": "0 18 * * *", "minReplicas": 2}
            ],
        }
    )
    assert Policy.of(scaling, 256) == Policy(
        minimum=1,
        maximum=8,
        targets=Targets(2, 16, 70, 900),
        idle_after_seconds=60,
        up=Pace(0, 4),
        down=Pace(30),
        schedules=(Schedule("day", "0 8 * * mon-fri", "0 18 * * *", 2),),
        capacity=256,
    )


def test_one_field_is_enough() -> None:
    """`minReplicas: 0` alone is none or one replica, `maxReplicas: 4` alone one to four."""
    zero = Policy.of(Scaling.model_validate({"minReplicas": 0}))
    four = Policy.of(Scaling.model_validate({"maxReplicas": 4}))
    assert [(p.minimum, p.maximum) for p in (zero, four)] == [(0, 1), (1, 4)]
