"""Tokens of other issuers: which a real Envoy takes, as whose, and what issuers can break."""

import asyncio
import gzip
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from hmac import digest
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from prometheus_client import CollectorRegistry

from beside import beside
from controller.fake import FakeApiServer
from gateway.certificates import certificate
from gateway.conftest import model
from gateway.engine import Engine
from gateway.issuer import DISCOVERY, FakeIssuer, issuer, send
from gateway.proxy import Gateway, gateway, until
from gateway.test_access import chat
from gateway.test_control import Stage
from modelops.gateway.files import published
from modelops.gateway.main import trusting
from modelops.gateway.metrics import Metrics
from modelops.gateway.oidc import LARGEST, Trust, Unusable, is_safe, public_keys
from modelops.gateway.settings import Settings
from modelops.gateway.snapshot import Issuer, Tenant


@pytest.fixture(scope="module")
def corp() -> Iterator[FakeIssuer]:
    """An issuer."""
    with issuer() as started:
        yield started


@pytest.fixture(scope="module")
def other() -> Iterator[FakeIssuer]:
    """Another issuer, of which claims say models and tenant."""
    with issuer() as started:
        yield started


@pytest.fixture(scope="module")
def door(
    corp: FakeIssuer, other: FakeIssuer, fake: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """An Envoy that takes both issuers' tokens beside API keys."""
    issuers = (
        Issuer("corp", corp.url, ("models",)),
        Issuer(
            "other", other.url, ("a", "models"), tenant_claim="org/team", models_claim="may",
            tenant_prefix="",
        ),
    )  # fmt: skip
    with gateway(tmp_path_factory.mktemp("door"), issuers=issuers) as started:
        started.serve(
            models=(model("llama-8b", fake.port), model("idle")),
            tenants=(Tenant("poor", models=()),),
            issuer_keys={i.name: asked(i) for i in issuers},
        )
        until(lambda: chat(started, corp.token()).status_code == 200, 5)
        until(lambda: chat(started, corp.token(), "idle").status_code == 503, 5)
        yield started
        assert not any(started.stats("update_(rejected|failure)").values())


def trust(folder: Path, *issuers: Issuer) -> Trust:
    """Return what asks issuers."""
    metrics = Metrics.create()
    changed = list[None]()
    return Trust(
        issuers, FakeApiServer(), folder, lambda: changed.append(None),
        metrics.issuer_keys, metrics.issuer_read,
    )  # fmt: skip


def asked(one: Issuer, folder: Path = Path("/nonexistent")) -> tuple[Any, ...]:
    """Return the keys that an issuer tells now; none when it tells none."""
    made = trust(folder, one)
    asyncio.run(made.refresh())
    return made.keys.get(one.name, ())


def coded(*parts: object) -> str:
    """Return the parts of a token that come before its signature."""
    texts = (urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    return ".".join(text.rstrip(b"=").decode() for text in texts)


def confused(corp: FakeIssuer) -> str:
    """Return a token signed by HMAC with the public key."""
    claims = {"iss": corp.url, "aud": "models", "sub": "ann", "exp": int(time.time()) + 600}
    said = coded({"alg": "HS256", "kid": corp.keys[0].kid}, claims)
    secret = corp.keys[0].as_pem(private=False)
    signature = urlsafe_b64encode(digest(secret, said.encode(), "sha256")).rstrip(b"=")
    return f"{said}.{signature.decode()}"


def unsigned(corp: FakeIssuer) -> str:
    """Return a token whose algorithm is none."""
    claims = {"iss": corp.url, "aud": "models", "sub": "ann", "exp": int(time.time()) + 600}
    return coded({"alg": "none", "kid": corp.keys[0].kid}, claims) + "."


def by_another(corp: FakeIssuer, kid: str) -> str:
    """Return a token that a key signed which the issuer does not have."""
    claims = {"iss": corp.url, "aud": "models", "sub": "ann", "exp": int(time.time()) + 600}
    return jwt.encode({"alg": "RS256", "kid": kid}, claims, RSAKey.generate_key(2048))


REFUSED: dict[str, Callable[[FakeIssuer], str]] = {
    "expired": lambda i: i.token(exp=int(time.time()) - 60),
    "no end": lambda i: i.token(exp=None),
    "not yet": lambda i: i.token(nbf=int(time.time()) + 600),
    "other audience": lambda i: i.token(aud="someone"),
    "no audience": lambda i: i.token(aud=None),
    "our audience": lambda i: i.token(aud="modelops-gateway"),
    "other issuer": lambda i: i.token(iss="https://example.com"),
    "no issuer": lambda i: i.token(iss=None),
    "our issuer": lambda i: i.token(iss="modelops", aud="modelops-gateway"),
    "none": unsigned,
    "public key as secret": confused,
    "foreign key": lambda i: by_another(i, str(i.keys[0].kid)),
    "unknown kid": lambda i: by_another(i, "unknown"),
    "no subject": lambda i: i.token(sub=None),
    "empty subject": lambda i: i.token(sub=""),
    "subject with a line": lambda i: i.token(sub="a\nb"),
    "long subject": lambda i: i.token(sub="a" * 256),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_token_is_refused(door: Gateway, corp: FakeIssuer, fake: Engine, kind: str) -> None:
    """Whatever is wrong with a token, the answer is 401 invalid_api_key, before any engine."""
    before = len(fake.requests)
    answer = chat(door, REFUSED[kind](corp))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert len(fake.requests) == before


def test_an_issuer_speaks_for_itself_only(
    door: Gateway, corp: FakeIssuer, other: FakeIssuer
) -> None:
    """A key of one issuer signs nothing in the name of another, and none does in ours."""
    assert chat(door, corp.token(iss=other.url)).status_code == 401
    assert chat(door, other.token(iss=corp.url)).status_code == 401
    assert chat(door, door.key("*")).status_code == 200


def logged(door: Gateway, token: str) -> dict[str, Any]:
    """Return what the access log tells of a request with a token."""
    request = chat(door, token).headers["x-request-id"]
    found: list[dict[str, Any]] = []

    def there() -> bool:
        text = (Path(door.front.folder) / "log").read_text()
        lines = (json.loads(line) for line in text.splitlines() if line.startswith("{"))
        found[:] = [line for line in lines if line["request"] == request]
        return bool(found)

    until(there, 15)
    return found[0]


def test_no_token_is_taken_for_a_key_or_tenant_of_ours(door: Gateway, corp: FakeIssuer) -> None:
    """Tenant and key have the issuer's name before them, whatever the token claims."""
    record = door.record("*")
    door.serve(revoked=frozenset({record.id}))
    until(lambda: chat(door, door.signing.sign(record)).status_code == 401, 5)
    said = logged(door, corp.token(sub="acme", jti=record.id, tenant="acme", rpm="1", ask="key"))
    assert (said["tenant"], said["key"], said["status"]) == ("corp:acme", "corp:acme", 200)
    assert logged(door, door.key("*"))["tenant"] == "acme"


def test_a_revoked_subject_is_refused_whatever_its_tokens_say(
    door: Gateway, corp: FakeIssuer
) -> None:
    """All its tokens are, those of its later hours too, and nobody else's; then none any more."""
    door.serve(revoked=frozenset({"corp:alice", "other:bob"}))
    until(lambda: chat(door, corp.token(sub="alice")).status_code == 401, 5)
    assert chat(door, corp.token(sub="alice", tenant="red", jti="new")).status_code == 401
    assert chat(door, corp.token(sub="bob")).status_code == 200
    door.serve(revoked=frozenset())
    until(lambda: chat(door, corp.token(sub="alice")).status_code == 200, 5)


def test_one_token_of_a_subject_is_refused(door: Gateway, corp: FakeIssuer) -> None:
    """A token that is revoked by its id is refused; other tokens of its subject are not."""
    stolen, fresh, nameless = (
        corp.token(sub="eve", **named) for named in ({"jti": "t7"}, {"jti": "t8"}, {})
    )
    door.serve(revoked=frozenset({"corp::t7", "other::t8"}))
    until(lambda: chat(door, stolen).status_code == 401, 5)
    assert chat(door, fresh).status_code == chat(door, nameless).status_code == 200
    door.serve(revoked=frozenset())
    until(lambda: chat(door, stolen).status_code == 200, 5)


def test_claims_say_models_and_tenant_where_that_is_wanted(
    door: Gateway, other: FakeIssuer
) -> None:
    """Models come from a list or words, a tenant from within a claim; without, nothing opens."""
    team = {"team": "acme"}
    for may in (["llama*", 7, None], "idle llama-8b", "*"):
        assert chat(door, other.token(org=team, may=may)).status_code == 200
    for may in (["idle"], "idle", [], {}, 7, None):
        assert chat(door, other.token(org=team, may=may)).status_code == 404
    assert logged(door, other.token(org=team, may="*"))["tenant"] == "acme"
    assert chat(door, other.token(org={"team": "poor"}, may="*")).status_code == 404
    for org in (None, {}, "acme", {"team": 7}, {"team": ["acme"]}):
        assert chat(door, other.token(org=org, may="*")).status_code == 401
    with door.client(other.token(org=team, may="idle")) as client:
        assert [m["id"] for m in client.get("/v1/models").json()["data"]] == ["idle"]


def test_a_new_key_is_taken_up_and_an_old_one_ends(door: Gateway, corp: FakeIssuer) -> None:
    """After the next reading an issuer's new key counts, and one that it dropped does not."""
    (mine, _) = door.front.issuers
    old = corp.token()
    corp.rotate()
    assert chat(door, corp.token()).status_code == 401
    door.serve(issuer_keys={**door.snapshot.issuer_keys, "corp": asked(mine)})
    until(lambda: chat(door, corp.token()).status_code == 200, 5)
    until(lambda: chat(door, old).status_code == 401, 5)


def test_an_issuer_without_keys_costs_nobody_else(door: Gateway, other: FakeIssuer) -> None:
    """Tokens of an issuer that has told no keys yet are refused; all others are taken."""
    before = door.snapshot.issuer_keys
    door.serve(issuer_keys={"corp": before["corp"]})
    token = other.token(org={"team": "a"}, may="*")
    until(lambda: chat(door, token).status_code == 401, 5)
    assert chat(door, door.key("*")).status_code == 200
    door.serve(issuer_keys=before)
    until(lambda: chat(door, token).status_code == 200, 5)


def endless(request: BaseHTTPRequestHandler) -> None:
    """Answer with 100 MB, as long as somebody takes them."""
    request.send_response(200)
    request.end_headers()
    try:
        for _ in range(100):
            request.wfile.write(b" " * 1_000_000)
    except ConnectionError:
        return


def bomb(request: BaseHTTPRequestHandler) -> None:
    """Answer with few bytes that become many."""
    send(request, gzip.compress(b" " * 10_000_000), content_encoding="gzip")


def test_the_control_process_follows_issuers(tmp_path: Path) -> None:
    """Nothing is published before issuers were asked; new keys are published by themselves."""

    async def story(corp: FakeIssuer) -> None:
        stage = Stage(tmp_path)
        made = replace(trust(tmp_path, Issuer("corp", corp.url, ("m",))), period=0.02)
        made.changed = stage.control.news.set
        stage.control.issuer_keys = lambda: made.keys
        stage.control.front = replace(stage.control.front, issuers=made.issuers)
        async with beside(trusting(made, stage.control)):
            first = str(corp.keys[0].kid)
            await stage.until(lambda files: "modelops.json" in files)
            assert first in published(tmp_path)["modelops.json"]
            corp.rotate()
            await stage.until(lambda files: str(corp.keys[0].kid) in files["modelops.json"])
            assert first not in published(tmp_path)["modelops.json"]

    with issuer() as corp:
        asyncio.run(story(corp))


def telling(text: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a page with this text."""
    return lambda request: send(request, text.encode())


BROKEN = {
    "100 MB of keys": ("/keys", endless),
    "100 MB of discovery": (DISCOVERY, endless),
    "compressed": ("/keys", bomb),
    "garbage": ("/keys", telling("\x00<html>")),
    "no list": ("/keys", telling('{"keys": {}}')),
    "empty": ("/keys", telling('{"keys": []}')),
    "deep": ("/keys", telling("[" * (LARGEST - 1))),
    "not found": ("/keys", lambda r: send(r, b"", 404)),
    "redirect": ("/keys", lambda r: send(r, b"", 302, location="/elsewhere")),
    "another issuer": (DISCOVERY, telling('{"issuer": "https://x", "jwks_uri": "https://x"}')),
    "garbage for discovery": (DISCOVERY, telling("[]")),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_issuer_keeps_the_keys_that_it_told_last(kind: str, tmp_path: Path) -> None:
    """What an issuer answers in its bad hour changes nothing, and nobody else's keys."""
    path, page = BROKEN[kind]
    with issuer() as bad, issuer() as good:
        both = (Issuer("bad", bad.url, ("m",)), Issuer("good", good.url, ("m",)))
        made = trust(tmp_path, *both)
        asyncio.run(made.refresh())
        before = made.keys["bad"]
        assert before
        bad.pages[path] = page
        bad.rotate()
        good.rotate()
        asyncio.run(made.refresh())
        assert made.keys["bad"] == before
        assert [key["kid"] for key in made.keys["good"]] == [good.keys[0].kid]
        assert asked(both[0]) == ()


def test_an_issuer_that_is_away_is_remembered_over_a_restart(tmp_path: Path) -> None:
    """A new process takes the keys that the last one had, if the issuer is the same."""
    with issuer() as gone:
        mine = Issuer("corp", gone.url, ("m",))
        first = trust(tmp_path, mine)
        asyncio.run(first.refresh())
    second = trust(tmp_path, mine, Issuer("other", gone.url + "/other", ("m",)))
    second.recall()
    asyncio.run(second.refresh())
    assert second.keys == first.keys
    (tmp_path / ".issuers").write_text("{]")
    third = trust(tmp_path, mine)
    third.recall()
    assert third.keys == {}


def test_an_issuer_must_show_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    """An unknown authority is refused, and so is another one than the values name."""
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
        certificate(tmp_path / name, name)
    with issuer(tmp_path / "own") as secure:
        mine = Issuer("corp", secure.url, ("m",))
        assert asked(mine) == ()
        assert asked(replace(mine, ca_file=str(tmp_path / "other" / "tls.crt"))) == ()
        assert len(asked(replace(mine, ca_file=str(tmp_path / "own" / "tls.crt")))) == 1
        assert asked(replace(mine, ca_file=str(tmp_path / "absent.crt"))) == ()


def test_jwks_of_a_safe_place_only() -> None:
    """An issuer cannot send us elsewhere than to https, nor name no place."""
    with issuer() as bad:
        for place in ("http://198.18.0.1/keys", "file:///etc/passwd", 7, None, "https://x/keys"):
            known = json.dumps({"issuer": bad.url, "jwks_uri": place})
            bad.pages[DISCOVERY] = telling(known)
            assert asked(Issuer("bad", bad.url, ("m",))) == ()
        direct = Issuer("bad", bad.url, ("m",), jwks_uri=f"{bad.url}/keys")
        assert len(asked(direct)) == 1


@pytest.mark.parametrize("place", ["http://localhost:0x1/", "http://localhost/\ud800"])
def test_a_place_that_is_no_url_ends_nothing(place: str) -> None:
    """An issuer whose keys are at no place that can be asked costs its own keys only."""
    with issuer() as bad:
        bad.pages[DISCOVERY] = telling(json.dumps({"issuer": bad.url, "jwks_uri": place}))
        assert asked(Issuer("bad", bad.url, ("m",))) == ()


def told(*keys: dict[str, Any]) -> bytes:
    """Return a key set."""
    return json.dumps({"keys": keys}).encode()


def test_only_keys_that_verify_are_taken() -> None:
    """Secrets, keys for encryption, private, weak and unknown ones are left out of a set."""
    good = ECKey.generate_key("P-256", auto_kid=True).as_dict(private=False)
    bad = (
        OctKey.generate_key(256).as_dict(private=True),
        ECKey.generate_key("P-256").as_dict(private=True),
        ECKey.generate_key("secp256k1").as_dict(private=False),
        good | {"use": "enc"},
        good | {"alg": "HS256"},
        good | {"alg": "none"},
        good | {"kid": 7},
        good | {"x": "AA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "what"},
    )
    assert public_keys(told(*bad, good, {**good, "note": "x"})) == (good, good)
    with pytest.raises(Unusable):
        public_keys(told(*bad))


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://login.example.com/realms/a", True),
        ("http://127.0.0.1:8080", True),
        ("http://login.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://127.0.0.1@example.com", False),
        ("https://user@example.com", False),
        ("https://", False),
        ("ftp://example.com", False),
        ("https://example.com?x=1", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_an_issuer_is_https_or_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, url: str, *, safe: bool
) -> None:
    """What somebody on the way could change is refused when the process starts."""
    assert is_safe(url) == safe
    value = json.dumps([{"name": "corp", "issuer": url, "audiences": ["m"]}])
    monkeypatch.setenv("MODELOPS_GATEWAY_OIDC", value)
    if safe:
        assert Settings().front.issuers == (Issuer("corp", url, ("m",)),)
    else:
        with pytest.raises(ValueError, match="https"):
            Settings()


def test_metrics_tell_of_each_issuer(tmp_path: Path) -> None:
    """How many keys an issuer told, and when, is in the metrics by its name."""
    with issuer() as one:
        made = trust(tmp_path, Issuer("corp", one.url, ("m",)))
        asyncio.run(made.refresh())
    registry = CollectorRegistry()
    registry.register(made.number)
    assert registry.get_sample_value("modelops_gateway_issuer_keys", {"issuer": "corp"}) == 1
