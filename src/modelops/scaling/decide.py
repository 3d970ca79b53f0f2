"""The decision: how many replicas, from what was read and what is remembered.

Laws: never outside of the policy's minimum and maximum; what is missing, late or impossible never
lowers the last decision and never leads to zero; to zero only when everything is known to be idle
for long enough; from zero at once; in windows and at the pace that the policy says.
"""

import math
from dataclasses import replace
from typing import Final

from modelops.scaling.asks import asks, missing
from modelops.scaling.decision import Decision
from modelops.scaling.memory import MINUTE, Memory
from modelops.scaling.policy import Policy
from modelops.scaling.reading import Reading

LATE_SECONDS: Final = 60.0
"""A reading that is late by more than this means that the clock was set back."""


def decide(policy: Policy, memory: Memory, reading: Reading) -> tuple[Decision, Memory]:
    """Return how many replicas the model is to have, and what to remember for the next reading."""
    if not reading.timed:
        unknown = Reading(memory.at or 0.0)
        return _keep(policy, memory, unknown, "the time of the reading is not known"), memory
    if memory.at is not None and reading.at <= memory.at:
        return _late(policy, memory, reading, memory.at)
    believed, lies = reading.believed()
    memory = memory.read(believed)
    why = _unknown(policy, believed, lies)
    if why:
        decision = _hold(policy, memory, believed, why)
    else:
        memory = _remember(policy, memory, believed)
        decision = _scale(policy, memory, believed)
    return decision, memory.decide(reading.at, decision)


def _late(
    policy: Policy, memory: Memory, reading: Reading, newest: float
) -> tuple[Decision, Memory]:
    """Keep; after a clock was set back, begin again with the last decision alone."""
    decision = _keep(policy, memory, Reading(newest), "the reading is older than the last one")
    if newest - reading.at > LATE_SECONDS:
        memory = Memory(at=reading.at, last=decision, replicas=memory.replicas)
    return decision, memory


def _unknown(policy: Policy, reading: Reading, lies: tuple[str, ...]) -> str | None:
    """Return what keeps from deciding, or None."""
    if lies:
        return f"{', '.join(lies)} cannot be true"
    if not reading.whole:
        return "a gateway or an engine did not answer"
    name = missing(policy, reading)
    return name and f"{name} is not known"


def _remember(policy: Policy, memory: Memory, reading: Reading) -> Memory:
    """Remember what the load asks for; at first, that what is there was asked for."""
    if memory.last is None:
        memory = memory.ask(policy, reading.at, _current(policy, memory, reading))
    return memory.ask(policy, reading.at, _need(policy, reading).replicas)


def _need(policy: Policy, reading: Reading) -> Decision:
    """Return what the load asks for by itself."""
    found = max(asks(policy, reading), key=lambda ask: ask.replicas, default=None)
    if found is None:
        return Decision(0, "minimum", "nothing asks for replicas")
    if found.replicas <= 1 and reading.held:
        return Decision(1, "held", f"1 replica: {reading.held:.0f} requests wait for one to start")
    sentence = f"{_replicas(found.replicas)}: {found}"
    return Decision(found.replicas, found.metric, sentence, found.value, found.target)


def _hold(policy: Policy, memory: Memory, reading: Reading, why: str) -> Decision:
    """Keep what was decided; counts that are known may ask for more, for they are the least."""
    kept = max(_current(policy, memory, reading), policy.floor(reading.at))
    need = _need(policy, reading)
    known = need if need.replicas > kept else None
    if known is None and kept == 0 and _wanted(memory, reading):
        known = Decision(1, "held", "1 replica: somebody asks for one")
    if known is not None and policy.maximum > kept:
        sentence = f"{known.sentence}; {why}"
        return _at_most(policy, replace(known, sentence=sentence))
    return _keep(policy, memory, reading, why)


def _keep(policy: Policy, memory: Memory, reading: Reading, why: str) -> Decision:
    """Keep what was decided."""
    kept = max(_current(policy, memory, reading), policy.floor(reading.at))
    return _at_most(policy, Decision(kept, "missing", f"{_replicas(kept)} as before: {why}"))


def _scale(policy: Policy, memory: Memory, reading: Reading) -> Decision:
    least = _least(policy, memory, reading)
    if least.replicas == 0:
        return _at_most(policy, least)
    wanted = _windowed(policy, memory, reading)
    wanted = _paced(policy, memory, reading.at, wanted)
    return _at_most(policy, least if wanted.replicas < least.replicas else wanted)


def _least(policy: Policy, memory: Memory, reading: Reading) -> Decision:
    """Return what there must be, whatever the load is: nothing only when nothing is asked for."""
    floor = policy.floor(reading.at)
    if floor > 0:
        name = "schedule" if floor > policy.minimum else "minimum"
        return Decision(floor, name, f"{_replicas(floor)}, by the {name}")
    if _current(policy, memory, reading) == 0 and not reading.replicas:
        if _wanted(memory, reading):
            return Decision(1, "held", "1 replica: somebody asks for one")
        return Decision(0, "idle", "no replica: nobody asks for one")
    quiet = reading.at - (reading.at if memory.active_at is None else memory.active_at)
    if reading.silent and quiet >= policy.idle_after_seconds:
        return Decision(0, "idle", f"no replica: nothing to do for {quiet:.0f} s")
    return Decision(1, "idle", f"1 replica: nothing to do for {quiet:.0f} s yet")


def _windowed(policy: Policy, memory: Memory, reading: Reading) -> Decision:
    """Return what the load asked for all through the window of its direction."""
    need, current = _need(policy, reading), _current(policy, memory, reading)
    highest = memory.asked_down.highest(reading.at - policy.down.window_seconds)
    lowest = memory.asked_up.lowest(reading.at - policy.up.window_seconds)
    count = max(current if highest is None else min(current, highest), lowest or 0)
    if count == need.replicas:
        return need
    way = policy.up if count < need.replicas else policy.down
    sentence = f"{_replicas(count)} for {way.window_seconds:.0f} s more at most: {need.sentence}"
    return replace(need, replicas=count, metric="window", sentence=sentence)


def _paced(policy: Policy, memory: Memory, at: float, wanted: Decision) -> Decision:
    """Return as much of it as the pace allows since a minute ago."""
    lowest = memory.decided.lowest(at - MINUTE)
    highest = memory.decided.highest(at - MINUTE)
    if lowest is None or highest is None:
        return wanted
    most = lowest + (policy.up.replicas_a_minute or math.inf)
    fewest = highest - (policy.down.replicas_a_minute or math.inf)
    if fewest <= wanted.replicas <= most:
        return wanted
    count = int(max(fewest, min(wanted.replicas, most)))
    sentence = f"{_replicas(count)}, at the pace of the policy: {wanted.sentence}"
    return replace(wanted, replicas=count, metric="pace", sentence=sentence)


def _at_most(policy: Policy, wanted: Decision) -> Decision:
    if wanted.replicas <= policy.maximum:
        return wanted
    if policy.maximum == 0:
        return Decision(0, "off", "no replica: the maximum is 0")
    sentence = f"{_replicas(policy.maximum)}, the maximum: {wanted.sentence}"
    return replace(wanted, replicas=policy.maximum, metric="maximum", sentence=sentence)


def _current(policy: Policy, memory: Memory, reading: Reading) -> int:
    """Return how many replicas there are to be as yet."""
    if memory.last is not None:
        return memory.last.replicas
    return policy.floor(reading.at) if reading.replicas is None else reading.replicas


def _wanted(memory: Memory, reading: Reading) -> bool:
    """Say whether a request is there, or was since the last reading."""
    return memory.rose or bool(reading.load)


def _replicas(count: int) -> str:
    return f"{count or 'no'} {'replica' if count < 2 else 'replicas'}"
