"""What all who scale are judged by: one trace, one setting, one objective."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from modelops.simulation.oracle import Found, Plan, oracle
from modelops.simulation.scalers import Fixed
from modelops.simulation.trace import Trace, warmed
from modelops.simulation.world import Patience, Played, Scaler, Setting, World

MANY = 4
"""So many times the replicas that are enough are replicas to spare."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A share of requests is to have its first token within so many seconds."""

    ttft_seconds: float = 3.0
    share: float = 0.99


@dataclass(frozen=True, slots=True)
class Course:
    """A trace of so many seconds, played from its first ``warm_seconds`` on, which do not count."""

    trace: Trace
    seconds: float
    setting: Setting
    objective: Objective = Objective()
    warm_seconds: float = 300.0

    @staticmethod
    def over(trace: Trace, setting: Setting, objective: Objective, warm_seconds: float) -> "Course":
        """Return the course that begins with as many replicas as its warm-up needs."""
        seconds = float(math.ceil(trace[-1].at + 1e-9))
        course = Course(trace, seconds, setting, objective, min(warm_seconds, seconds))
        return replace(course, setting=replace(setting, replicas=course.enough()))

    def play(
        self, scaler: Scaler, replicas: int | None = None, patience: Patience | None = None
    ) -> Played:
        """Play the trace with somebody who scales, from so many replicas on.

        It ends early when ``patience`` does.
        """
        setting = self.setting if replicas is None else replace(self.setting, replicas=replicas)
        total = self.seconds + self.warm_seconds
        return World(setting, scaler, patience).play(
            warmed(self.trace, self.warm_seconds), total, self.warm_seconds
        )

    def enough(self) -> int:
        """Return the fixed number of replicas that the warm-up needs."""
        first = tuple(request for request in self.trace if request.at < self.warm_seconds)
        count = 1
        while count < 1000 and first:
            played = World(replace(self.setting, replicas=count), Fixed(count)).play(
                first, self.warm_seconds
            )
            if played.attainment(self.objective.ttft_seconds) >= self.objective.share:
                break
            count += max(count // 8, 1)
        return count

    def oracle(self, block: int, tell: Callable[[], None] = lambda: None) -> Played | None:
        """Play the cheapest plan found that meets the objective; None where none does."""
        wanted = self.objective
        judged = len(self.trace)

        def trial(plan: Plan, most_late: int) -> Found | None:
            tell()
            played = self.play(
                plan.scaler, plan.counts[0], Patience(wanted.ttft_seconds, most_late)
            )
            late = judged - sum(job.met(wanted.ttft_seconds) for job in played.judged)
            return Found(plan, played, late) if late <= most_late else None

        spare = self.setting.replicas * MANY + 16
        ideal = self.play(Fixed(spare), spare).moments
        open_ = [m.in_flight for m in ideal if m.at <= self.seconds + self.warm_seconds]
        most_late = math.floor((1 - wanted.share) * judged + 1e-9)
        found = oracle(open_, trial, most_late, self.setting.cold_start_seconds, block)
        return found.played if found else None
