"""Conditions change as the Kubernetes API conventions say."""

from datetime import UTC, datetime

from modelops.api.conditions import Condition, find, one_line, stamp, truth

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = Condition("Ready", "True", "Serving", "serving")
LONG_AGO = "2025-01-01T00:00:00Z"


def test_a_new_condition_has_changed_now() -> None:
    """A condition that was not there before gets the present time, and the generation judged."""
    (ready,) = stamp([READY], 7, [], NOW)
    assert ready == {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "serving",
        "observedGeneration": 7,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def test_a_condition_that_flips_has_changed_now() -> None:
    """The transition time moves when the status does."""
    before = [{"type": "Ready", "status": "False", "lastTransitionTime": LONG_AGO}]
    assert stamp([READY], 1, before, NOW)[0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_a_condition_that_holds_keeps_its_time() -> None:
    """The transition time stays while only words change."""
    before = [
        {"type": "Ready", "status": "True", "reason": "Idle", "lastTransitionTime": LONG_AGO},
        {"type": "Stalled", "status": "True", "lastTransitionTime": "2024-01-01T00:00:00Z"},
    ]
    assert stamp([READY], 1, before, NOW)[0]["lastTransitionTime"] == LONG_AGO


def test_a_condition_is_found_by_its_type() -> None:
    """A resource without status, or without that condition, has none."""
    one = {"type": "Ready"}
    assert find({"status": {"conditions": [{"type": "Other"}, one]}}, "Ready") == one
    assert find({}, "Ready") is None
    assert find({"status": {"conditions": []}}, "Ready") is None


def test_truths_are_spelled_as_kubernetes_does() -> None:
    """Conditions hold words, not JSON's booleans."""
    assert (truth(True), truth(False)) == ("True", "False")  # noqa: FBT003  its only argument


def test_a_message_is_one_line() -> None:
    """Whatever others say becomes a single line with single spaces."""
    assert one_line(" a\n\n  b\tc ") == "a b c"
