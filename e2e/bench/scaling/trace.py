"""The default policy on half an hour of Azure's conversations, beside KEDA and an oracle.

Everything is simulated, with the code that decides on a cluster: `modelops simulate` shows the
same. Other loads, shapes and engines tell whether that is luck. Fills the tables of
docs/benchmarks.md and draws docs/images/scaling-*.png.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, replace

from e2e.bench.record import OUT, PAGE, Figure, record
from e2e.cluster.shell import say
from e2e.platform import ROOT
from modelops.api.scaling import Scaling
from modelops.scaling.policy import Policy, Targets
from modelops.simulation.course import Course, Objective
from modelops.simulation.plot import curves, picture
from modelops.simulation.scalers import Keda, Modelops
from modelops.simulation.speed import SPEEDS, Speed
from modelops.simulation.trace import (
    AZURE,
    Trace,
    backwards,
    read_trace,
    scaled,
    shuffled,
    synthetic,
)
from modelops.simulation.world import Played, Setting

IMAGES = ROOT / "docs" / "images"
COLD_STARTS = (5, 30, 120)
MOST = 40
KEDA_TARGETS = (1, 2, 3, 5, 10, 20)
CONCURRENCY = (10, 13, 16, 20, 25)
SHARES = (0.95, 0.995)
THIN_SECONDS = 60
WARM_SECONDS = 300
SHAPES = ("constant", "diurnal", "bursts", "on-off", "spike")
TABLE = re.compile(r"(<!-- scaling:begin -->\n).*?(<!-- scaling:end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Point:
    """What one who scales reached: share of requests in time, replica-hours."""

    attainment: float
    hours: float

    @staticmethod
    def of(played: Played, course: Course) -> "Point":
        """Return it of a trace that was played."""
        return Point(played.attainment(course.objective.ttft_seconds), played.replica_hours)


@dataclass(frozen=True, slots=True)
class Found:
    """What all reached at one cold start; ``keda`` by target, ``tuned`` by target too."""

    ours: Point
    tuned: Mapping[int, Point]
    keda: Mapping[int, Point]
    oracle: Point
    oracles: tuple[Point, ...]

    @property
    def best(self) -> Point:
        """KEDA with the target that brings most requests in time."""
        return max(self.keda.values(), key=lambda point: point.attainment)


def default(speed: Speed) -> Policy:
    """Return what `maxReplicas` alone gives."""
    return Policy.of(Scaling.model_validate({"maxReplicas": MOST}), speed.most_sequences)


def measure() -> None:
    """Measure, write build/bench/scaling-trace.json, and renew pages and pictures."""
    trace = read_trace(AZURE)
    with ProcessPoolExecutor() as pool:
        plays = {cold: _Plays.begin(pool, _course(trace, cold)) for cold in COLD_STARTS}
        others = [pool.submit(_row, *other) for other in _others(trace)]
        found = {cold: one.found() for cold, one in plays.items()}
        rows = [_told(other) for other in others]
    record("scaling-trace", [f for cold, one in found.items() for f in _figures(cold, one)])
    _tell(rows)
    _draw(trace, found)


def _course(trace: Trace, cold: float, speed: Speed = SPEEDS["l4-8b"]) -> Course:
    setting = Setting(speed=speed, cold_start_seconds=cold)
    return Course.over(trace, setting, Objective(), WARM_SECONDS)


def _ours(course: Course, concurrency: int | None = None) -> Point:
    policy = default(course.setting.speed)
    if concurrency is not None:
        policy = replace(policy, targets=Targets(concurrency=concurrency))
    return Point.of(course.play(Modelops(policy)), course)


def _keda(course: Course, target: int) -> Point:
    return Point.of(course.play(Keda(1, MOST, target)), course)


def _oracle(course: Course, share: float, block: int) -> Point:
    wanted = replace(course, objective=replace(course.objective, share=share))
    played = wanted.oracle(block)
    if played is None:
        raise ValueError(f"no plan brings {share:.1%} of the requests in time")
    return Point.of(played, course)


@dataclass(frozen=True, slots=True)
class _Plays:
    """What is played at one cold start, by other processes; what takes longest first."""

    oracle: Future[Point]
    oracles: tuple[Future[Point], ...]
    ours: Future[Point]
    tuned: Mapping[int, Future[Point]]
    keda: Mapping[int, Future[Point]]

    @staticmethod
    def begin(pool: Executor, course: Course) -> "_Plays":
        """Have all of it played."""
        return _Plays(
            oracle=pool.submit(_oracle, course, course.objective.share, THIN_SECONDS),
            oracles=tuple(pool.submit(_oracle, course, share, 0) for share in SHARES),
            ours=pool.submit(_ours, course),
            tuned={target: pool.submit(_ours, course, target) for target in CONCURRENCY},
            keda={target: pool.submit(_keda, course, target) for target in KEDA_TARGETS},
        )

    def found(self) -> Found:
        """Wait for all of it."""
        return Found(
            ours=self.ours.result(),
            tuned={target: one.result() for target, one in self.tuned.items()},
            keda={target: one.result() for target, one in self.keda.items()},
            oracle=self.oracle.result(),
            oracles=tuple(one.result() for one in self.oracles),
        )


def _figures(cold: int, found: Found) -> list[Figure]:
    ours, best, oracle = found.ours, found.best, found.oracle
    shares = {f"keda_{target}": point.attainment for target, point in found.keda.items()}
    hours = {f"keda_{target}": ours.hours / point.hours for target, point in found.keda.items()}
    end = f"cold_{cold}s"
    return [
        Figure(f"slo_attainment_{end}", ours.attainment, "share", shares),
        Figure(f"replica_hours_ratio_to_keda_{end}", ours.hours / best.hours, "ratio", hours),
        Figure(
            f"replica_hours_ratio_to_oracle_{end}",
            ours.hours / oracle.hours,
            "ratio",
            {"hours": ours.hours, "oracle_hours": oracle.hours, "keda_hours": best.hours},
        ),
    ]


@dataclass(frozen=True, slots=True)
class Row:
    """How it went on another trace, or on another engine."""

    trace: str
    engine: str
    cold: int
    ours: Point
    keda: Point
    oracle: Point | None


def _others(azure: Trace) -> Iterator[tuple[str, Trace, str, int]]:
    """Yield other loads, other orders, other shapes, other seeds and other engines."""
    traces = {f"Azure x {load:g}": scaled(azure, load, 1) for load in (0.5, 2)}
    traces |= {"Azure backwards": backwards(azure)}
    traces |= {"Azure shuffled": shuffled(azure, 300.0, 1)}
    traces |= {shape: synthetic(shape, 1800, 4.5, 11) for shape in SHAPES}
    named = [(name, trace, "l4-8b") for name, trace in traces.items()]
    five = scaled(azure, 5, 1)
    named += [("Azure x 5", five, engine) for engine in ("a100-8b", "h100x4-70b")]
    for name, trace, engine in named:
        for cold in COLD_STARTS:
            yield name, trace, engine, cold


def _row(name: str, trace: Trace, engine: str, cold: int) -> Row:
    course, usual = _course(trace, cold, SPEEDS[engine]), engine == "l4-8b"
    keda = max((_keda(course, target) for target in KEDA_TARGETS), key=lambda p: p.attainment)
    oracle = _oracle(course, course.objective.share, 0) if usual else None
    return Row(name, engine, cold, _ours(course), keda, oracle)


def _told(other: Future[Row]) -> Row:
    row = other.result()
    say(f"{row.trace} on {row.engine}, cold start {row.cold} s: {row.ours}")
    return row


def _tell(rows: Iterable[Row]) -> None:
    lines = [
        "| trace | engine | cold start | in time | KEDA | hours | over KEDA | over oracle |",
        "|---|---|---|---|---|---|---|---|",
        *map(_line, rows),
    ]
    page = PAGE.read_text(encoding="utf-8")
    body = "\n".join([*lines, ""])
    PAGE.write_text(TABLE.sub(lambda m: m.group(1) + body + m.group(2), page), encoding="utf-8")
    document = [
        {"trace": row.trace, "engine": row.engine, "cold_start_seconds": row.cold}
        | {
            f"{who}_{what}": value
            for who, point in (("ours", row.ours), ("keda", row.keda), ("oracle", row.oracle))
            if point
            for what, value in (("slo_attainment", point.attainment), ("hours", point.hours))
        }
        for row in rows
    ]
    text = json.dumps(document, indent=2) + "\n"
    (OUT / "scaling-others.json").write_text(text, encoding="utf-8")


def _line(row: Row) -> str:
    ours = row.ours
    cells = [
        row.trace,
        row.engine,
        f"{row.cold} s",
        f"{ours.attainment:.2%}",
        f"{row.keda.attainment:.2%}",
        f"{ours.hours:.2f}",
        f"{ours.hours / row.keda.hours:.2f}",
        f"{ours.hours / row.oracle.hours:.2f}" if row.oracle else "",
    ]
    return f"| {' | '.join(cells)} |"


def _draw(trace: Trace, found: Mapping[int, Found]) -> None:
    panels = {f"cold start {cold} s": _lines(one) for cold, one in found.items()}
    (IMAGES / "scaling-curve.png").write_bytes(curves(panels, Objective().share))
    course = _course(trace, 30)
    played: dict[str, Played | None] = {
        "modelops": course.play(Modelops(default(course.setting.speed))),
        "KEDA": course.play(Keda(1, MOST, 5)),
        "oracle": course.oracle(0),
    }
    runs = {name: one for name, one in played.items() if one is not None}
    title = "Azure's conversations, Llama 3.1 8B on L4, cold start 30 s"
    (IMAGES / "scaling-trace.png").write_bytes(picture(course, runs, title))


def _lines(found: Found) -> dict[str, list[tuple[float, float]]]:
    def line(points: Mapping[int, Point]) -> list[tuple[float, float]]:
        return [(point.hours, point.attainment) for point in points.values()]

    oracles = sorted((found.oracle, *found.oracles), key=lambda point: point.hours)
    return {
        "modelops, by target of concurrency": line(found.tuned),
        "KEDA, by target of queue depth": line(found.keda),
        "oracle": [(point.hours, point.attainment) for point in oracles],
        "modelops, default": [(found.ours.hours, found.ours.attainment)],
    }
