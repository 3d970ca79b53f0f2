"""Statuses of pods that do not serve, as kubelet and scheduler report them, one per cause."""

import json
from textwrap import dedent, indent
from typing import Any

import yaml

_CONDITIONS = """\
conditions:
- {type: PodReadyToStartContainers, status: "True"}
- {type: Initialized, status: "False", reason: ContainersNotInitialized,
   message: "containers with incomplete status: [weights]"}
- {type: Ready, status: "False", reason: ContainersNotReady,
   message: "containers with unready status: [engine]"}
- {type: ContainersReady, status: "False", reason: ContainersNotReady}
- {type: PodScheduled, status: "True"}
"""
_ENGINE_WAITS = """\
containerStatuses:
- name: engine
  image: registry.example.com/vllm-cpu:1
  imageID: ""
  ready: false
  restartCount: 0
  started: false
  state: {waiting: {reason: PodInitializing}}
  lastState: {}
"""
_WEIGHTS_DONE = """\
initContainerStatuses:
- name: weights
  image: registry.example.com/modelops:1
  ready: true
  restartCount: 0
  started: false
  state:
    terminated:
      exitCode: 0
      reason: Completed
      message: '{"event": "done", "digest": "abc", "bytes": 2048, "source": "claim"}'
      startedAt: "2026-01-01T11:58:00Z"
      finishedAt: "2026-01-01T11:58:01Z"
"""


def _states(text: str) -> str:
    return indent(dedent(text).rstrip(), "  ") + "\n"


def weights(states: str, restarts: int = 0) -> str:
    """Return the status of a pod whose weights container is in these states."""
    head = f"""\
initContainerStatuses:
- name: weights
  image: registry.example.com/modelops:1
  imageID: ""
  ready: false
  restartCount: {restarts}
  started: false
"""
    return f"phase: Pending\n{_CONDITIONS}{head}{_states(states)}{_ENGINE_WAITS}"


def engine(states: str, restarts: int = 0, others: str = "") -> str:
    """Return the status of a pod whose engine is in these states."""
    head = f"""\
containerStatuses:
- name: engine
  image: registry.example.com/vllm-cpu:1
  ready: false
  restartCount: {restarts}
  started: false
"""
    body = f"{_CONDITIONS}{_WEIGHTS_DONE}{head}{_states(states)}"
    return f"phase: Running\n{body}{dedent(others)}"


def crashed(code: int, reason: str, message: str, restarts: int = 1) -> str:
    """Return the status of a pod whose engine ended and waits to be started again."""
    return engine(
        f"""\
        state:
          waiting:
            reason: CrashLoopBackOff
            message: back-off 10s restarting failed container=engine pod=tiny-1_default(uid)
        lastState:
          terminated:
            containerID: containerd://0123
            exitCode: {code}
            reason: {reason}
            message: {json.dumps(message)}
            startedAt: "2026-01-01T11:58:30Z"
            finishedAt: "2026-01-01T11:59:30Z"
        """,
        restarts,
    )


def unscheduled(message: str, reason: str = "Unschedulable") -> str:
    """Return the status of a pod that no node takes."""
    return f"""\
phase: Pending
conditions:
- type: PodScheduled
  status: "False"
  reason: {reason}
  message: {json.dumps(message)}
"""


def lost(reason: str, message: str, conditions: str = "[]") -> str:
    """Return the status of a pod that a node ended for good."""
    return f"""\
phase: Failed
reason: {reason}
message: {json.dumps(message)}
startTime: "2026-01-01T11:55:00Z"
conditions: {conditions}
"""


def read(status: str) -> dict[str, Any]:
    """Return a status as the API gives it."""
    return dict(yaml.safe_load(status))


def waiting(reason: str, message: str) -> str:
    """Return the states of a container that cannot be started."""
    return f"""\
state:
  waiting:
    reason: {reason}
    message: {json.dumps(message)}
lastState: {{}}
"""
