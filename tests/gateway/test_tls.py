"""TLS at the gateway, from a Secret that is renewed."""

import socket
import ssl
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

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


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_handshake_that_does_not_come_is_not_waited_for(tmp_path: Path, begun: bytes) -> None:
    """Who connects and does not speak TLS in time is hung up on; others get through meanwhile."""
    secret, config = tmp_path / "tls", tmp_path / "config"
    secret.mkdir()
    config.mkdir()
    mount(secret, "slow")
    with (
        gateway(config, Tls(str(secret))) as served,
        socket.create_connection(("127.0.0.1", served.front.port), 20) as silent,
    ):
        silent.sendall(begun)
        assert greeted(served, secret / "tls.crt") == ("h2", "slow")
        with suppress(ConnectionResetError):
            while silent.recv(65536):
                pass
