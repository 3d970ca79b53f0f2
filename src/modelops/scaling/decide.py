"""The decision: how many replicas, from what was read and what is remembered.

Laws: never outside of the policy's minimum and maximum; what is missing, late or impossible never
lowers the last decision and never leads to zero; to zero only when everything is known to be idle
for long enough; from zero at once; in windows and at the pace that the policy says.
"""

import math
from dataclasses import replace
from typing import Final

from modelops.scaling.ask import Ask
from modelops.scaling.asks import asks, missing
from modelops.scaling.decision import Decision
from modelops.scaling.jobs import backlog
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
    before, memory = memory, memory.read(believed)
    why = _unknown(policy, memory, believed, lies)
    if why:
        decision = _hold(policy, memory, believed, why)
    else:
        memory = _remember(policy, memory.learn(policy, before, believed), believed)
        decision = _scale(policy, memory, believed)
    return decision, memory.decide(believed, decision)


def _late(
    policy: Policy, memory: Memory, reading: Reading, newest: float
) -> tuple[Decision, Memory]:
    """Keep; after a clock was set back, begin again with the last decision alone."""
    decision = _keep(policy, memory, Reading(newest), "the reading is older than the last one")
    if newest - reading.at > LATE_SECONDS:
        memory = Memory(at=reading.at, last=decision, replicas=memory.replicas)
    return decision, memory


def _unknown(policy: Policy, memory: Memory, reading: Reading, lies: tuple[str, ...]) -> str | None:
    """Return what keeps from deciding, or None."""
    if lies:
        return f"{', '.join(lies)} cannot be true"
    if not reading.whole:
        return f"{'the queue of jobs' if reading.jobs else 'a gateway or an engine'} did not answer"
    name = missing(policy, memory, reading)
    return name and f"{name} is not known"


def _remember(policy: Policy, memory: Memory, reading: Reading) -> Memory:
    """Remember what the load asks for; at first, that what is there was asked for."""
    if memory.last is None:
        memory = memory.ask(policy, reading.at, _current(policy, memory, reading))
    return memory.ask(policy, reading.at, _need(policy, memory, reading).replicas)


def _need(policy: Policy, memory: Memory, reading: Reading) -> Ask:
    """Return what the load asks for by itself."""
    found = max(asks(policy, memory, reading), key=lambda ask: ask.replicas, default=None)
    return found or Ask(0, "minimum", 0.0, 0.0, "nothing asks for replicas")


def _followed(ask: Ask, count: int, note: str = "", metric: str | None = None) -> Decision:
    """Return so many replicas, because of what was asked for."""
    sentence = f"{_replicas(count)}{note}: {ask.sentence}"
    return Decision(count, metric or ask.metric, sentence, ask.value, ask.target)


def _hold(policy: Policy, memory: Memory, reading: Reading, why: str) -> Decision:
    """Keep what was decided; counts that are known may ask for more, for they are the least."""
    kept = _kept(policy, memory, reading)
    need = _need(policy, memory, reading)
    if kept == 0 and _wanted(memory, reading):
        return _at_most(policy, _woken(reading))
    if need.replicas > kept and policy.maximum > kept:
        count = min(need.replicas, policy.maximum)
        return _followed(need, count, f", though {why}")
    return _keep(policy, memory, reading, why)


def _keep(policy: Policy, memory: Memory, reading: Reading, why: str) -> Decision:
    """Keep what was decided."""
    kept = _kept(policy, memory, reading)
    return _at_most(policy, Decision(kept, "missing", f"{_replicas(kept)} as before: {why}"))


def _kept(policy: Policy, memory: Memory, reading: Reading) -> int:
    """Return how many replicas stay: no fewer than somebody else has asked for meanwhile."""
    current = _current(policy, memory, reading)
    return max(current, reading.replicas or 0, policy.floor(reading.at))


def _scale(policy: Policy, memory: Memory, reading: Reading) -> Decision:
    least = _least(policy, memory, reading)
    if least.replicas == 0:
        return _at_most(policy, least)
    need = _need(policy, memory, reading)
    wanted = _windowed(policy, memory, reading, need)
    wanted = _paced(policy, memory, reading.at, wanted, need)
    if wanted.replicas > policy.maximum > 0:
        return _followed(need, policy.maximum, ", the maximum", "maximum")
    enough = wanted.replicas > least.replicas - (least.metric != "held")
    return _at_most(policy, wanted if enough else least)


def _least(policy: Policy, memory: Memory, reading: Reading) -> Decision:
    """Return what there must be, whatever the load is: nothing only when nothing is asked for."""
    floor = policy.floor(reading.at)
    if floor > 0:
        name = "schedule" if floor > policy.minimum else "minimum"
        return Decision(floor, name, f"{_replicas(floor)}, by the {name}")
    put_to_rest = reading.replicas == 0 and reading.silent  # by a person, or for another model
    if put_to_rest or (_current(policy, memory, reading) == 0 and not reading.replicas):
        asleep = Decision(0, "idle", "no replica: nobody asks for one")
        return _woken(reading) if _wanted(memory, reading) else asleep
    quiet = reading.at - (reading.at if memory.active_at is None else memory.active_at)
    if reading.silent and quiet >= policy.idle_after_seconds:
        return Decision(0, "idle", f"no replica: nothing to do for {quiet:.0f} s")
    return Decision(1, "idle", f"1 replica: nothing to do for {quiet:.0f} s as yet")


def _woken(reading: Reading) -> Decision:
    cause = backlog(reading) if reading.jobs else "a request waits for one to start"
    return Decision(1, "held", f"1 replica: {cause}")


def _windowed(policy: Policy, memory: Memory, reading: Reading, need: Ask) -> Decision:
    """Return what the load asked for all through the window of its direction."""
    current = _current(policy, memory, reading)
    highest = memory.asked_down.highest(reading.at - policy.down.window_seconds)
    lowest = memory.asked_up.lowest(reading.at - policy.up.window_seconds)
    count = max(current if highest is None else min(current, highest), lowest or 0)
    if count == need.replicas:
        return _followed(need, count)
    up = count < need.replicas
    seconds = (policy.up if up else policy.down).window_seconds
    note = f" until {'more were needed' if up else 'fewer were enough'} for {seconds:.0f} s"
    return _followed(need, count, note, "window")


def _paced(policy: Policy, memory: Memory, at: float, wanted: Decision, need: Ask) -> Decision:
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
    return _followed(need, count, ", at the pace of the policy", "pace")


def _at_most(policy: Policy, wanted: Decision) -> Decision:
    if policy.maximum == 0:
        return Decision(0, "off", "no replica: the maximum is 0")
    if wanted.replicas <= policy.maximum:
        return wanted
    sentence = f"{_replicas(policy.maximum)}, the maximum: {wanted.sentence}"
    return replace(wanted, replicas=policy.maximum, metric="maximum", sentence=sentence)


def _current(policy: Policy, memory: Memory, reading: Reading) -> int:
    """Return how many replicas there are to be as yet."""
    if memory.last is not None:
        return memory.last.replicas
    return policy.floor(reading.at) if reading.replicas is None else reading.replicas


def _wanted(memory: Memory, reading: Reading) -> bool:
    """Say whether a request is there, or was since the last reading; a job is there until done."""
    return bool(reading.load) or (memory.rose and not reading.jobs)


def _replicas(count: int) -> str:
    return f"{count or 'no'} {'replica' if count < 2 else 'replicas'}"
