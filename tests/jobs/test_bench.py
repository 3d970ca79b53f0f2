"""A slice of `make bench-jobs`: nothing is lost though workers and Redis are killed."""

from e2e.bench.jobs import Course, run


def test_jobs_outlive_workers_and_redis() -> None:
    """Each job is done and billed once, however often who does it is killed."""
    found = run(Course(jobs=400, rate=60.0, workers=3, pause=1.5, restarts=2))
    assert found.kills >= 3
    assert (found.lost, found.billed_twice) == (0, 0)
    assert found.duplicates < 0.2, "only what a killed worker had is done again"
