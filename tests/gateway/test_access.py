"""Who may call: API keys on a real Envoy."""

import json
import time
from base64 import urlsafe_b64encode

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from gateway.engine import Engine
from gateway.proxy import Gateway, until
from modelops.gateway.keys import SigningKey

CHAT = {"model": "llama-8b", "messages": []}


def chat(gateway: Gateway, key: str | None, model: str = "llama-8b") -> httpx.Response:
    """Ask a model through the gateway."""
    with gateway.client(key) as client:
        return client.post("/v1/chat/completions", json=CHAT | {"model": model})


def encoded(part: dict) -> str:
    """Return a part of a token."""
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def unsigned(gateway: Gateway) -> str:
    """Return a token whose algorithm is none."""
    header = {"alg": "none", "kid": gateway.signing.id}
    return f"{encoded(header)}.{encoded(gateway.record('*').claims)}."


def confused(gateway: Gateway) -> str:
    """Return a token signed by HMAC with the public key as its secret."""
    public = json.dumps(dict(gateway.signing.public))
    header = {"alg": "HS256", "kid": gateway.signing.id}
    secret = OctKey.import_key(public)
    return jwt.encode(header, gateway.record("*").claims, secret, algorithms=["HS256"])


def foreign(gateway: Gateway) -> str:
    """Return a token that another key signed under this one's id."""
    other = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "kid": gateway.signing.id}
    return jwt.encode(header, gateway.record("*").claims, other)


def claiming(gateway: Gateway, **claims: object) -> str:
    """Return a well-signed token with other claims; None takes one away."""
    said = gateway.record("*").claims | claims
    header = {"alg": "ES256", "kid": gateway.signing.id}
    return jwt.encode(header, {k: v for k, v in said.items() if v is not None}, gateway.signing.jwk)


BAD = {
    "none": lambda _: None,
    "not a token": lambda _: "sk-123",
    "empty": lambda _: ".",
    "algorithm none": unsigned,
    "public key as secret": confused,
    "foreign key": foreign,
    "expired": lambda g: g.key("*", seconds=-60),
    "no end": lambda g: claiming(g, exp=None),
    "other issuer": lambda g: claiming(g, iss="someone"),
    "other audience": lambda g: claiming(g, aud="someone"),
    "not yet": lambda g: claiming(g, nbf=int(time.time()) + 600),
    "tampered": lambda g: g.key("*")[:-8] + "AAAAAAAA",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_key_is_refused_as_openai_does(front: Gateway, fake: Engine, kind: str) -> None:
    """Whatever is wrong with a key, the answer is 401 invalid_api_key and no engine hears of it."""
    before = len(fake.requests)
    answer = chat(front, BAD[kind](front))
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error["code"] == "invalid_api_key"
    assert {"message", "type", "param", "code"} == error.keys()
    assert len(fake.requests) == before


def test_a_key_opens_the_models_it_names_and_no_other(front: Gateway) -> None:
    """A model outside a key's grants is as unknown to it as one that does not exist."""
    key = front.key("llama*")
    assert chat(front, key).status_code == 200
    barred, absent = chat(front, key, "Qwen/Qwen3-8B"), chat(front, key, "absent")
    assert (barred.status_code, absent.status_code) == (404, 404)
    assert barred.json()["error"]["code"] == absent.json()["error"]["code"] == "model_not_found"
    assert barred.text.replace("Qwen/Qwen3-8B", "absent") == absent.text


@pytest.mark.parametrize("claims", [{"models": None}, {"models": []}, {"models": "*"}])
def test_a_key_without_models_opens_none(front: Gateway, claims: dict) -> None:
    """Grants that are missing, empty or no list grant nothing."""
    assert chat(front, claiming(front, **claims)).status_code == 404


def test_models_lists_what_the_key_may_use(front: Gateway) -> None:
    """GET /v1/models and /v1/models/NAME show a key only its own models."""
    with front.client(front.key("Qwen/*", "absent")) as client:
        listed = client.get("/v1/models").json()
        assert [m["id"] for m in listed["data"]] == ["Qwen/Qwen3-8B"]
        assert listed["object"] == "list"
        one = client.get("/v1/models/Qwen/Qwen3-8B").json()
        told = {"id": "Qwen/Qwen3-8B", "object": "model", "created": 1, "owned_by": "team"}
        assert one == told | {"status": "ready"}
        for hidden in ("llama-8b", "absent", "*"):
            refusal = client.get(f"/v1/models/{hidden}")
            assert refusal.status_code == 404
            assert refusal.json()["error"]["code"] == "model_not_found"


def test_a_key_reaches_no_engine(front: Gateway, fake: Engine) -> None:
    """Engines never see a caller's key."""
    assert chat(front, front.key("*")).status_code == 200
    headers = {name.lower() for name in fake.requests[-1][2]}
    assert "authorization" not in headers


def test_a_revoked_key_is_refused_at_once(front: Gateway) -> None:
    """Within 2 s of its revocation a key is refused, and other keys are not."""
    record, other = front.record("*"), front.key("*")
    key = front.signing.sign(record)
    assert chat(front, key).status_code == 200
    front.serve(revoked=frozenset({record.id, "another"}))
    until(lambda: chat(front, key).status_code == 401, 2)
    assert chat(front, key).json()["error"]["code"] == "invalid_api_key"
    assert chat(front, other).status_code == 200


def test_a_long_deny_list_refuses_those_on_it_and_no_other(front: Gateway) -> None:
    """Among 10,000 revoked keys one more is refused as soon, and a valid one still passes."""
    record, other = front.record("*"), front.key("*")
    key = front.signing.sign(record)
    many = frozenset(f"{number:016x}" for number in range(10_000))
    front.serve(revoked=many)
    assert chat(front, key).status_code == 200
    front.serve(revoked=many | {record.id})
    until(lambda: chat(front, key).status_code == 401, 10)
    assert chat(front, other).status_code == 200


def test_signing_keys_rotate_without_a_gap(front: Gateway) -> None:
    """Two signing keys are valid side by side; one that is taken away is valid no more."""
    old, new = front.signing, SigningKey.generate()
    record = front.record("*")
    front.serve(public_keys=(old.public, new.public))
    until(lambda: chat(front, new.sign(record)).status_code == 200, 2)
    assert chat(front, old.sign(record)).status_code == 200
    front.serve(public_keys=(new.public,))
    until(lambda: chat(front, old.sign(record)).status_code == 401, 2)
    assert chat(front, new.sign(record)).status_code == 200


def test_without_signing_keys_every_key_is_refused(front: Gateway) -> None:
    """When the last signing key is taken away its API keys are refused, not kept."""
    key = front.key("*")
    assert chat(front, key).status_code == 200
    front.serve(public_keys=())
    until(lambda: chat(front, key).status_code == 401, 2)


def test_a_record_says_what_its_key_says(front: Gateway) -> None:
    """A record survives being written and read, and so does a signing key."""
    record = front.record("a", "b*", rpm=3)
    assert type(record).parse(record.text()) == record
    assert SigningKey.parse(front.signing.private).public == front.signing.public
