"""Before Envoy stops: let callers move on and open requests end: `drain.py ADMIN_URL SETTLE MOST`.

Callers are told at once to come on another connection. For SETTLE seconds requests are still taken,
since the cluster needs a moment to send them elsewhere; open ones get MOST seconds in all.
"""

import sys
import time
import urllib.request

LOOK_SECONDS = 0.2
ACTIVE = "http.gateway.downstream_rq_active"


def main() -> int:
    """Return 0 when no request is open any more, 1 when the time was over before."""
    admin, settle, most = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    started = time.monotonic()
    _ask(admin, "/healthcheck/fail", "POST")
    time.sleep(settle)
    while _open_requests(admin):
        if time.monotonic() - started > most:
            return 1
        time.sleep(LOOK_SECONDS)
    return 0


def _open_requests(admin: str) -> int:
    text = _ask(admin, f"/stats?filter=^{ACTIVE}$", "GET")
    return int(text.partition(": ")[2] or 0)


def _ask(admin: str, path: str, method: str) -> str:
    request = urllib.request.Request(admin + path, method=method)  # noqa: S310  Envoy's own address
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  Envoy's own address
        return str(answer.read().decode())


if __name__ == "__main__":
    sys.exit(main())
