"""`python -m e2e.bench`: run every measurement."""

from e2e.bench.ready import measure
from e2e.bench.record import PAGE
from e2e.cluster.shell import step

with step("kubectl apply to first token, beside the bare engine"):
    measure()
print(PAGE.read_text(encoding="utf-8"))
