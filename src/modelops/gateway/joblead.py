"""How Envoy leads requests to the job API beside it; the module says who asks (pure)."""

from typing import Final

from modelops.gateway.loopback import loopback
from modelops.gateway.snapshot import Front
from modelops.gateway.typed import Json

CLUSTER: Final = "jobs"
TENANT: Final = "x-modelops-tenant"
KEY: Final = "x-modelops-key"
MODEL: Final = "x-modelops-model"
TOLD: Final = {"tenant": TENANT, "key": KEY, "model": MODEL}
"""Headers that only the module sets on requests to it, whatever a caller sends by these names."""

PATH: Final = "/v1/jobs"
_RETRIES: Final = {"retry_on": "connect-failure", "num_retries": 3}


def led() -> Json:
    """Return the fields of a route to it."""
    return {"route": {"cluster": CLUSTER, "timeout": "0s", "retry_policy": _RETRIES}}


def cluster(front: Front) -> Json:
    """Return where it answers: beside Envoy, and nowhere else."""
    return loopback(CLUSTER, front.jobs_port, connect_timeout="1s")
