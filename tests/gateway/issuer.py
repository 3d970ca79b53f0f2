"""An OpenID Connect issuer on loopback, which can misbehave."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

DISCOVERY = "/.well-known/openid-configuration"


@dataclass
class FakeIssuer:
    """Signs tokens, and tells its keys by HTTP; `pages` answer instead where they are set."""

    url: str
    keys: list[Key] = field(default_factory=list)
    pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)

    def rotate(self) -> None:
        """Sign with a new key, and tell no other."""
        self.keys = [RSAKey.generate_key(2048, auto_kid=True)]

    @property
    def jwks(self) -> bytes:
        """What it tells of its keys."""
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()

    def token(self, **claims: Any) -> str:
        """Return a token; None takes a claim away."""
        now = int(time.time())
        said = {"iss": self.url, "aud": "models", "sub": "ann", "iat": now, "exp": now + 600}
        key = self.keys[0]
        header = {"alg": "ES256" if isinstance(key, ECKey) else "RS256", "kid": key.kid}
        said |= claims
        return jwt.encode(header, {n: v for n, v in said.items() if v is not None}, key)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        if page := self.pages.get(request.path):
            return page(request)
        known = json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        return send(request, {DISCOVERY: known, "/keys": self.jwks}[request.path])


def send(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """Answer with a body."""
    request.send_response(status)
    for name, value in {"content-length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    with suppress(ConnectionError):
        request.wfile.write(body)


@contextmanager
def issuer(certificate: Path | None = None) -> Iterator[FakeIssuer]:
    """Run an issuer, by TLS with the certificate in that folder."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "tls.crt", certificate / "tls.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made = FakeIssuer(f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}")
    made.rotate()
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
