"""How webhooks are signed, by the Standard Webhooks specification (pure)."""

import base64
import hmac
from typing import Final

PREFIX: Final = "whsec_"


def secret(master: bytes, tenant: str) -> str:
    """Return a tenant's secret, which nobody can tell from another's."""
    made = hmac.digest(master, b"modelops webhook\0" + tenant.encode(), "sha256")
    return PREFIX + base64.b64encode(made).decode()


def headers(secret_: str, identity: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that go with a body."""
    key = base64.b64decode(secret_.removeprefix(PREFIX))
    signed = hmac.digest(key, f"{identity}.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(signed).decode(),
        "content-type": "application/json",
    }
