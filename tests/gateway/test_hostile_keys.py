"""API keys that somebody made up."""

import json
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from hmac import digest

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.engine import Engine
from gateway.proxy import Gateway, until
from modelops.gateway.keys import SigningKey

CHAT = {"model": "llama-8b", "messages": []}


def signed(front: Gateway, key: ECKey, header: dict, **claims: object) -> str:
    """Return a token with this header and other claims."""
    return jwt.encode({"alg": "ES256"} | header, front.record("*").claims | claims, key)


def hmac(front: Gateway, secret: bytes, kid: str | None = None) -> str:
    """Return a token signed by HMAC with something that everybody knows.

    By hand, since a good library does not sign with a public key.
    """
    said = coded({"alg": "HS256", "kid": kid or front.signing.id}, front.record("*").claims)
    signature = digest(secret, said.encode(), "sha256")
    return f"{said}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def coded(*parts: object) -> str:
    """Return the parts of a token that come before its signature."""
    texts = (urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    return ".".join(text.rstrip(b"=").decode() for text in texts)


def pem(front: Gateway) -> bytes:
    """Return the public key as attackers of other verifiers use it."""
    public = front.signing.jwk.public_key
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def rsa(front: Gateway) -> str:
    """Return a token signed by RSA under the id of our key."""
    header = {"alg": "RS256", "kid": front.signing.id}
    return jwt.encode(header, front.record("*").claims, RSAKey.generate_key(2048))


def embedded(front: Gateway) -> str:
    """Return a token that brings the key to verify it along."""
    own = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "kid": "own", "jwk": own.as_dict(private=False)}
    payload = front.record("*").claims
    return jwt.encode(header, payload, own, registry=jwt.JWSRegistry(strict_check_header=False))


def without_signature(front: Gateway, algorithm: str) -> str:
    """Return a token with that algorithm and no signature."""
    return coded({"alg": algorithm, "kid": front.signing.id}, front.record("*").claims) + "."


def zero(front: Gateway) -> str:
    """Return a token whose signature is all zeros, which some verifiers take for any message."""
    return front.key("*").rpartition(".")[0] + "." + "A" * 86


def padded(front: Gateway) -> str:
    """Return a token whose signature has more bytes than it should."""
    return front.key("*") + "AAAA"


def swapped(front: Gateway) -> str:
    """Return a token with the claims of one and the signature of another."""
    head, _, signature = front.key("llama*").split(".")
    return f"{head}.{front.key('*').split('.')[1]}.{signature}"


MADE_UP: dict[str, Callable[[Gateway], str]] = {
    "None": lambda g: without_signature(g, "None"),
    "nOnE": lambda g: without_signature(g, "nOnE"),
    "ES256 unsigned": lambda g: without_signature(g, "ES256"),
    "HMAC with the public key's PEM": lambda g: hmac(g, pem(g)),
    "HMAC with the public key's JWK": lambda g: hmac(
        g, json.dumps(dict(g.signing.public)).encode()
    ),
    "HMAC with nothing known": lambda g: hmac(g, b"secret" * 8, "nobody"),
    "RSA": rsa,
    "its own key": embedded,
    "a foreign id": lambda g: signed(g, ECKey.generate_key("P-256"), {"kid": "foreign"}),
    "no id": lambda g: signed(g, ECKey.generate_key("P-256"), {}),
    "zeros": zero,
    "more bytes": padded,
    "swapped": swapped,
    "a list of audiences without ours": lambda g: signed(
        g, g.signing.jwk, {"kid": g.signing.id}, aud=["a", "b"]
    ),
    "an end that is text": lambda g: signed(
        g, g.signing.jwk, {"kid": g.signing.id}, exp=str(int(time.time()) + 600)
    ),
    "an end in the past of long ago": lambda g: signed(
        g, g.signing.jwk, {"kid": g.signing.id}, exp=1
    ),
    "an end before time began": lambda g: signed(g, g.signing.jwk, {"kid": g.signing.id}, exp=-1),
    "huge": lambda _: "a" * 20_000,
    "dots": lambda _: "." * 1000,
}


@pytest.mark.parametrize("kind", MADE_UP)
def test_a_made_up_key_is_refused(front: Gateway, fake: Engine, kind: str) -> None:
    """Only our key's own signature over these very claims counts; all else is 401."""
    before = len(fake.requests)
    with front.client(MADE_UP[kind](front)) as client:
        answer = client.post("/v1/chat/completions", json=CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert len(fake.requests) == before


def test_a_key_under_another_keys_id_is_refused(front: Gateway) -> None:
    """With two signing keys a token must be signed by the one that it names."""
    first, second = front.signing, SigningKey.generate()
    front.serve(public_keys=(first.public, second.public))
    good = signed(front, second.jwk, {"kid": second.id})
    with front.client(good) as client:
        until(lambda: client.get("/v1/models").status_code == 200, 5)
    for signer, named in ((first, second), (second, first)):
        with front.client(signed(front, signer.jwk, {"kid": named.id})) as client:
            assert client.get("/v1/models").status_code == 401


PLACES = {
    "query": lambda key: ({}, {"access_token": key, "api_key": key}),
    "cookie": lambda key: ({"Cookie": f"authorization=Bearer {key}"}, {}),
    "another header": lambda key: ({"X-Api-Key": key, "Api-Key": key}, {}),
    "proxy header": lambda key: ({"Proxy-Authorization": f"Bearer {key}"}, {}),
    "basic": lambda key: (
        {"Authorization": "Basic " + b64encode(f"key:{key}".encode()).decode()}, {}
    ),
    "no scheme": lambda key: ({"Authorization": key}, {}),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_key_counts_in_its_header_only(front: Gateway, place: str) -> None:
    """A good key in a place that logs and browsers keep is as good as none."""
    headers, query = PLACES[place](front.key("*"))
    with front.client() as client:
        assert client.get("/v1/models", headers=headers, params=query).status_code == 401


def test_two_keys_are_no_key(front: Gateway) -> None:
    """Nobody gets in by one good key beside a bad one, whichever comes first."""
    good, bad = f"Bearer {front.key('*')}", "Bearer x"
    for pair in ((good, bad), (bad, good)):
        headers = [("Authorization", value) for value in pair]
        with front.client() as client:
            assert client.get("/v1/models", headers=headers).status_code == 401


@pytest.mark.slow
def test_a_key_ends_while_it_is_used(front: Gateway) -> None:
    """A key that was good, and is remembered as such, is refused soon after its end."""
    with front.client(front.key("*", seconds=1)) as client:
        assert client.get("/v1/models").status_code == 200
        until(lambda: client.get("/v1/models").status_code == 401, 30)
