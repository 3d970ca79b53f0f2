"""`python -m e2e.bench.gateway`: measure, and write build/bench/gateway.json.

MODELOPS_BENCH=quick measures less, to see that everything runs; its figures are not kept.
"""

import os
import resource
import statistics
import sys
from collections.abc import Mapping

from e2e.bench.gateway.measure import (
    QUICK,
    Grown,
    Loads,
    Size,
    added,
    grown,
    loads,
    median,
    ratio,
    streams_mib,
)
from e2e.bench.gateway.process import Sides
from e2e.bench.gateway.stage import OURS, stage
from e2e.bench.gateway.traffic import Reading
from e2e.bench.record import Figure, record, row
from e2e.cluster.shell import ClusterError, say

BARE = "bare_envoy"


def _cpu(reading: Reading) -> float:
    return reading.cpu_microseconds


def _rate(reading: Reading) -> float:
    return reading.rate


def _first(reading: Reading) -> float:
    return reading.first_p50_ms


def _late(reading: Reading) -> float:
    return reading.first_p99_ms


def figure(name: str, values: Mapping[str, float], unit: str) -> Figure:
    """Return a figure of ours beside those of the others."""
    others = {rival: value for rival, value in values.items() if rival != OURS}
    return Figure(name, values[OURS], unit, others)


def figures(measured: Loads, mib: Mapping[str, float], fleet: Grown) -> list[Figure]:
    """Return all figures, the ratios first."""
    busy, streams = measured.busy, measured.streams
    update = {OURS: statistics.median(fleet.update_seconds), "slowest": max(fleet.update_seconds)}
    return [
        figure("cpu_ratio_to_bare_envoy", ratio(busy, _cpu, BARE), "ratio"),
        figure("paced_cpu_ratio_to_bare_envoy", ratio(measured.paced, _cpu, BARE), "ratio"),
        figure("stream_cpu_ratio_to_bare_envoy", ratio(streams, _cpu, BARE), "ratio"),
        figure("throughput_ratio_to_bare_envoy", ratio(busy, _rate, BARE), "ratio"),
        figure("added_ttft_p50_ms", added(streams, _first, BARE), "ms"),
        figure("added_ttft_p99_ms", added(streams, _late, BARE), "ms"),
        figure("streams_2000_mib", mib, "MiB"),
        figure("config_update_s", update, "s"),
        figure("control_mib", {OURS: fleet.control_mib, "envoy": fleet.envoy_mib}, "MiB"),
        figure("cpu_us_per_request", median(busy, _cpu), "us"),
        figure("paced_cpu_us_per_request", median(measured.paced, _cpu), "us"),
        figure("cpu_us_per_stream", median(streams, _cpu), "us"),
        figure("requests_per_second", median(busy, _rate), "1/s"),
        figure("ttft_p50_ms", median(streams, _first), "ms"),
        figure("ttft_p99_ms", median(streams, _late), "ms"),
    ]


def main() -> int:
    """Measure everything; the exit code is 1 when a rival could not be measured."""
    quick = os.environ.get("MODELOPS_BENCH") == "quick"
    size = QUICK if quick else Size()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sides = Sides.of_machine()
    say(
        f"each proxy alone on CPU {sorted(sides.proxy)}, engine and clients on {sorted(sides.rest)}"
    )
    try:
        with stage(sides) as running:
            measured, mib = loads(running, size), streams_mib(running, size)
            found = figures(measured, mib, grown(running, size))
    except ClusterError as error:
        say(f"the gateway could not be measured: {error}")
        return 1
    if not quick:
        record("gateway", found)
    print("\n".join(map(row, found)))
    for rival, why in running.missing.items():
        print(f"{rival} was not measured: {why}")
    return 1 if running.missing else 0


if __name__ == "__main__":
    sys.exit(main())
