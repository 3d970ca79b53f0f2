"""The measurements: rounds of load that alternate, open streams, and a large fleet."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from e2e.bench.gateway.process import Sides
from e2e.bench.gateway.stage import MODELS, OURS, Seat, Stage
from e2e.bench.gateway.traffic import Reading, Target, answered, held, loaded
from e2e.cluster.shell import ClusterError, say, step

Readings = Mapping[str, Sequence[Reading]]
CLIENTS = 32
STREAMS = ["-stream", "-clients=16", "-tokens=8", "-pause=10"]
"""Sixteen streams at a time of eight events, ten milliseconds apart: only litellm is busy."""

PACED = ["-clients=32", "-pause=20"]
"""The engine takes 20 ms for each answer: what a request costs when it comes alone."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds, seconds of one load, models, streams held open."""

    rounds: int = 5
    seconds: float = 3.0
    models: int = 1000
    streams: int = 2000


QUICK = Size(rounds=2, seconds=1.0, models=200, streams=500)


@dataclass(frozen=True, slots=True)
class Loads:
    """The readings of each proxy, round by round."""

    busy: Readings
    paced: Readings
    streams: Readings


def loads(stage: Stage, size: Size) -> Loads:
    """Load every proxy in turn, in each second round in the opposite order."""
    one = {name: _one_model(seat) for name, seat in stage.seats.items()}
    spread = {f"{OURS}_{MODELS}_models_in_turn": stage.seats[OURS]}
    busy = _rounds(stage.sides, one | spread, size, [f"-clients={CLIENTS}"])
    paced = _rounds(stage.sides, one | spread, size, PACED)
    return Loads(busy, paced, _rounds(stage.sides, one, size, STREAMS))


def _one_model(seat: Seat) -> Seat:
    target = seat.target
    return replace(seat, target=replace(target, models=target.models[:1]))


def _rounds(sides: Sides, seats: Mapping[str, Seat], size: Size, flags: Sequence[str]) -> Readings:
    readings: dict[str, list[Reading]] = {name: [] for name in seats}
    for seat in seats.values():
        loaded(seat.target, seat.process, sides, *flags, "-seconds=0.5")  # connections, caches
    for number in range(size.rounds):
        with step(f"round {number + 1} of {size.rounds} {' '.join(flags)}"):
            for name in sorted(seats, reverse=bool(number % 2)):
                seat = seats[name]
                given = [*flags, f"-seconds={size.seconds}"]
                readings[name].append(loaded(seat.target, seat.process, sides, *given))
    return readings


def median(readings: Readings, of: Callable[[Reading], float]) -> dict[str, float]:
    """Return the median of each proxy."""
    return {name: statistics.median(map(of, found)) for name, found in readings.items()}


def ratio(readings: Readings, of: Callable[[Reading], float], base: str) -> dict[str, float]:
    """Return the median over the rounds of each proxy's ratio to one in the same round."""
    return {
        name: statistics.median(
            of(one) / of(other) for one, other in zip(found, readings[base], strict=True)
        )
        for name, found in readings.items()
        if of(found[0])
    }


def added(readings: Readings, of: Callable[[Reading], float], base: str) -> dict[str, float]:
    """Return the median over the rounds of each proxy's difference to one in the same round."""
    return {
        name: statistics.median(
            of(one) - of(other) for one, other in zip(found, readings[base], strict=True)
        )
        for name, found in readings.items()
    }


def streams_mib(stage: Stage, size: Size) -> dict[str, float]:
    """Return the memory of each proxy with so many open streams; those that cannot are said."""
    found: dict[str, float] = {}
    for name, seat in stage.seats.items():
        if seat.process is None:
            continue
        with step(f"{size.streams} open streams through {name}"):
            try:
                with held(_one_model(seat).target, stage.sides, size.streams):
                    found[name] = seat.process.resident_mib
            except ClusterError as error:
                say(f"{name}: {error}")
    return found


@dataclass(frozen=True, slots=True)
class Grown:
    """A large fleet: seconds from a new model to its first answer, MiB of the processes."""

    update_seconds: Sequence[float]
    control_mib: float
    envoy_mib: float


def grown(stage: Stage, size: Size) -> Grown:
    """Create models up to the size, five replicas each, then five more, one after the other."""
    ours = stage.seats[OURS]
    assert ours.process
    with step(f"{size.models} models with {size.models * len(stage.fleet.replicas)} replicas"):
        stage.fleet.add(f"model-{number:04}" for number in range(MODELS, size.models))
        answered(_named(ours.target, f"model-{size.models - 1:04}"))
    seconds = []
    for number in range(5):
        with step("a new model"):
            seconds.append(_appears(stage, f"new-{number}"))
    return Grown(seconds, stage.control.resident_mib, ours.process.resident_mib)


def _appears(stage: Stage, name: str) -> float:
    stage.fleet.add([name])
    started = time.monotonic()
    answered(_named(stage.seats[OURS].target, name))
    return time.monotonic() - started


def _named(target: Target, name: str) -> Target:
    return replace(target, models=(name,))
