"""How Envoy leads requests to the job API beside it, and says who asks (pure)."""

from typing import Final

from modelops.gateway.access import CLAIMS
from modelops.gateway.answers import header
from modelops.gateway.loopback import loopback
from modelops.gateway.snapshot import Front
from modelops.gateway.typed import Json

CLUSTER: Final = "jobs"
TENANT: Final = "x-modelops-tenant"
KEY: Final = "x-modelops-key"
MODEL: Final = "x-modelops-model"
MARKS: Final = (TENANT, KEY, MODEL)
"""Headers that only Envoy sets; what a caller sends by these names is taken away."""

PATHS: Final = {"safe_regex": {"regex": "/v1/jobs(/.*)?"}}
_RETRIES: Final = {"retry_on": "connect-failure", "num_retries": 3}


def led(model: str = "") -> Json:
    """Return the fields of a route to it; ``model`` is the name that the caller may use."""
    said = [header(TENANT, _claim("sub")), header(KEY, _claim("jti"))]
    named = [header(MODEL, model.replace("%", "%%"))] if model else []
    action = {"cluster": CLUSTER, "timeout": "0s", "retry_policy": _RETRIES}
    return {"route": action, "request_headers_to_add": [*said, *named]}


def cluster(front: Front) -> Json:
    """Return where it answers: beside Envoy, and nowhere else."""
    return loopback(CLUSTER, front.jobs_port, connect_timeout="1s")


def _claim(name: str) -> str:
    return f"%DYNAMIC_METADATA({':'.join((*CLAIMS, name))})%"
