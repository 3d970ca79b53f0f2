"""TLS at the gateway, from a Secret that is renewed."""

import socket
import ssl
from pathlib import Path

import httpx

from gateway.certificates import mount
from gateway.proxy import Gateway, gateway, until
from modelops.gateway.snapshot import Tls


def greeted(served: Gateway, certificate: Path) -> tuple[str | None, str]:
    """Return the protocol and the name that a caller who trusts a certificate is offered."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.set_alpn_protocols(["h2", "http/1.1"])
    address = ("127.0.0.1", served.front.port)
    with (
        socket.create_connection(address, 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as sealed,
    ):
        found = sealed.getpeercert() or {}
        ((_, name),) = found["subject"][0]
        return sealed.selected_alpn_protocol(), name


def trusted(served: Gateway, certificate: Path) -> bool:
    """Tell whether the gateway shows a certificate."""
    try:
        return bool(greeted(served, certificate))
    except ssl.SSLCertVerificationError:
        return False


def test_a_renewed_certificate_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    """Callers get TLS with HTTP/2, and the new certificate soon after the Secret has it."""
    secret, config = tmp_path / "tls", tmp_path / "config"
    secret.mkdir()
    config.mkdir()
    mount(secret, "first")
    with gateway(config, Tls(str(secret))) as served:
        assert greeted(served, secret / "tls.crt") == ("h2", "first")
        headers = {"Authorization": f"Bearer {served.key('*')}"}
        context = ssl.create_default_context(cafile=str(secret / "tls.crt"))
        answer = httpx.get(f"{served.url}/v1/models", headers=headers, verify=context)
        assert answer.json()["data"] == []
        mount(secret, "second")
        until(lambda: trusted(served, secret / "tls.crt"), 5)
        assert greeted(served, secret / "tls.crt") == ("h2", "second")
