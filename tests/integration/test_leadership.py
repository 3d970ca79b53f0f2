"""The laws of leadership: one operator acts, the others stand by, and none acts without a lease."""

import time

from e2e.cluster.apiserver import ControlPlane
from integration.api import Api
from integration.conftest import Start, text_model
from integration.process import eventually
from integration.verdict import converged


def test_an_operator_that_cannot_renew_its_lease_ends_and_can_be_restarted(
    api: Api, namespace: str, start: Start, control_plane: ControlPlane
) -> None:
    """An outage longer than the lease ends the process with 1; its successor takes over."""
    operator = start(IDENTITY="pod", LEASE_SECONDS="5").ready()
    control_plane.stop_apiserver()
    try:
        assert operator.wait(20) == 1
        successor = start(IDENTITY="pod", LEASE_SECONDS="15")
        eventually(lambda: successor.said("does not answer"), what="it waits for the API server")
    finally:
        control_plane.start_apiserver()
    eventually(api.answers, what="the API server is back")
    successor.ready()
    api.create(text_model(namespace))
    converged(api, namespace)


def test_a_stop_is_quick_and_gives_the_lease_up(api: Api, namespace: str, start: Start) -> None:
    """SIGTERM ends the operator with 0 within 10 seconds, and nobody holds the lease then."""
    operator = start().ready()
    api.create(text_model(namespace))
    converged(api, namespace)
    began = time.monotonic()
    assert operator.terminate() == 0
    assert time.monotonic() - began < 10
    lease = api.get("Lease", namespace, "modelops-operator")
    assert lease["spec"]["holderIdentity"] == ""


def test_of_two_operators_one_leads(api: Api, namespace: str, start: Start) -> None:
    """The second stands by, alive, does nothing, and takes over when the first stops."""
    first = start(IDENTITY="first").ready()
    second = start(IDENTITY="second")
    eventually(lambda: second.stands_by, what="the second stands by")
    api.create(text_model(namespace))
    converged(api, namespace)
    assert not second.leads
    assert second.probe().text == "ok"
    assert second.passes == 0
    assert first.terminate() == 0
    second.ready()
    api.create(text_model(namespace, "next"))
    eventually(lambda: api.find("Deployment", namespace, "next"), what="the second serves")


def test_a_standby_stops_at_once(start: Start) -> None:
    """SIGTERM ends an operator that waits for the leadership with 0, within 10 seconds."""
    start().ready()
    second = start()
    eventually(lambda: second.stands_by, what="the second stands by")
    began = time.monotonic()
    assert second.terminate() == 0
    assert time.monotonic() - began < 10
